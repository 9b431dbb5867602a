"""The soak: a storefront asking at a steady rate while parts of the shop fail at random."""

import os

# Before numpy loads: what trains here shares two cores with what is asked.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
