"""The command line: one file per noun, joined in `app.py`."""
