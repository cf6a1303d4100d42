"""Checks what a client says of itself before anything is done with it.

The names of the errors are the reasons that ``pslgs_clients_refused_total`` counts.
"""
# ruff: noqa: N818 - these say what a client is, and no "Error" adds to that

import hmac
import math
from collections.abc import Sequence

from pslgs.server.label_statistics import LabelStatistics
from pslgs.spec.errors import InputError
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1.training_pb2 import Hello

SHAPE_LIMIT = 2**24
"""Numbers of a sample whose shape only clients say; the model is tried on three such samples."""

DIMENSIONS_LIMIT = 8

_NAMES_SHOWN = 150
"""Characters of a list of class names in a message."""


class JobMismatch(InputError):
    """The client's manifest is of another job."""


class ShapeMismatch(InputError):
    """The client's samples have another shape than the job's."""


class ClassesMismatch(InputError):
    """The client's classes have other names than the job's."""


class ImplausibleClaim(InputError):
    """What the client claims to hold is too much, or contradicts itself."""


def check_digest(hello: Hello, digest: bytes) -> None:
    """Check that a client runs the job of ``digest``.

    Raises:
        JobMismatch: it does not.
    """
    if not hmac.compare_digest(hello.job_digest, digest):
        raise JobMismatch.at("", "this client's manifest is of another job; give it the server's manifest")


def check_size_of_sample(shape: tuple[int, ...]) -> None:
    """Check that the model may be tried on samples of a shape that only clients state.

    Raises:
        ImplausibleClaim: it may not.
    """
    if not 0 < len(shape) <= DIMENSIONS_LIMIT or not 0 < math.prod(shape) <= SHAPE_LIMIT:
        raise ImplausibleClaim.at(
            "spec.model.inputShape",
            f"samples of the shape {shown(shape)} are not taken on a client's word, at most {SHAPE_LIMIT:,} "
            "numbers are; set it in the manifest",
        )


def check_shape(shape: Sequence[int], expected: tuple[int, ...]) -> None:
    """Check a client's shape of a sample against the job's.

    Raises:
        ShapeMismatch: they differ.
    """
    if tuple(shape) != expected:
        raise ShapeMismatch.at(
            "spec.data.train",
            f"this client's samples have the shape {shown(shape)}, the job's {list(expected)}; transform "
            "them alike or set spec.model.inputShape",
        )


def check_claims(hello: Hello, label_statistics: LabelStatistics, max_samples: int) -> None:
    """Check how much a client claims to hold against spec.data.maxSamplesPerClient, and its label counts.

    Raises:
        ImplausibleClaim: it is too much, or the label counts contradict the samples.
    """
    claimed = max(hello.samples, hello.evaluation_samples)
    if claimed > max_samples:
        raise ImplausibleClaim.at(
            "spec.data.maxSamplesPerClient",
            f"is {max_samples:,}, but this client claims to hold {claimed:,} samples; raise it, or give the "
            "client fewer",
        )
    violation = label_statistics.violation(hello.samples, hello.label_counts)
    if violation:
        raise ImplausibleClaim.at("spec.data.train", violation)


def classes_mismatch(names: Sequence[str], agreed: Sequence[str], whose: str) -> ClassesMismatch:
    """Make the error of a client whose class names are not the agreed ones, which are ``whose``."""
    problem = (
        f"this client's classes ({_listed(names)}) are not {whose} ({_listed(agreed)}); name all classes in "
        "the manifest"
    )
    return ClassesMismatch.at("spec.data.train.classes", problem)


def shown(shape: Sequence[int]) -> str:
    """Write a shape that a peer sent."""
    return one_line(str(list(shape[: 2 * DIMENSIONS_LIMIT])), _NAMES_SHOWN)


def _listed(names: Sequence[str]) -> str:
    return one_line(", ".join(names), _NAMES_SHOWN)


def no_agreement(shapes: Sequence[tuple[tuple[int, ...], int]], patience: float) -> str:
    """Say why the model could not be tried: no client came, or clients state different shapes of samples.

    Args:
        shapes: What is stated, with the number of clients, most frequent first.
        patience: Seconds that were waited.
    """
    waited = f"within {patience} s (spec.faultTolerance.quorumTimeoutSeconds)"
    if not shapes:
        return f"no client came {waited}"
    stated = one_line("; ".join(f"{shown(shape)} by {count}" for shape, count in shapes[:10]))
    return f"clients did not agree on the shape of a sample {waited}: {stated}; set spec.model.inputShape"
