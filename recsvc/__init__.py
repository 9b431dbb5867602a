"""recsvc: personalised products and offers for shops. The service; the training job is the package `training`."""

__version__ = "0.1.0"
