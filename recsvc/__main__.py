"""`python -m recsvc`: the same as `recsvc`."""

from recsvc.cli.app import main

if __name__ == "__main__":
    main()
