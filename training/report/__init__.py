"""The report of a run: what is collected while it is on, and the page that shows it."""
