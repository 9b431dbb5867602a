"""The command line of the training job: `python -m training …`, also installed as `recsvc-train`."""

from __future__ import annotations

import os

# implicit runs its own threads; OpenBLAS beside them would make each wait for the other. Before numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# LightGBM's threads wait for each other often; waiting in a loop would take a core from whoever else is at work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from training.cli.app import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
