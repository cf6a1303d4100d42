"""The report of a run: a page that needs nothing but a browser."""
