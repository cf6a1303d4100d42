"""A Debian image with Python, made without an image registry."""

import shutil

from cluster.testcluster.buildah import buildah, tags
from cluster.testcluster.claims import locked
from cluster.testcluster.layout import CACHE
from cluster.testcluster.process import run, say

NAME = "localhost/python:3-slim"


def make() -> str:
    """Make the image in buildah's store unless it is there; return its name."""
    with locked("base-image"):
        if NAME not in tags():
            say(f"making the base image {NAME} with debootstrap")
            _make()
    return NAME


def _make() -> None:
    root = CACHE / "debian"
    packages = "--include=python3,python3-venv,ca-certificates"
    try:
        run("debootstrap", "--variant=minbase", packages, "bookworm", root)
        container = buildah("from", "scratch").strip()
        buildah("add", "--quiet", container, root, "/")
        buildah("commit", "--quiet", "--rm", container, NAME)
    finally:
        shutil.rmtree(root, ignore_errors=True)
