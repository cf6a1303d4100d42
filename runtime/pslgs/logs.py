"""The log of a server's or client's processes."""

import logging


def configure_logging() -> None:
    """Log to stderr: time, level and message in each line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
