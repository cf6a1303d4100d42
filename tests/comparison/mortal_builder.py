"""A network whose building ends the process."""

import os


def network():
    os._exit(77)
