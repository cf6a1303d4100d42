"""Checks of a client's Hello message, made before anything is done with its contents.

The names of the errors are the reasons that ``pslgs_clients_refused_total`` counts.
"""
# ruff: noqa: N818 - these say what a client is, and no "Error" adds to that

import hmac
import json
import math
from collections.abc import Mapping, Sequence

from pslgs.data.left_out import Reason as LeftOutReason
from pslgs.model_inputs import InputShape, NamedShapes, Shape, shape_text
from pslgs.server.label_statistics import LabelStatistics
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1.training_pb2 import Hello

SHAPE_LIMIT = 2**24
"""Maximum elements of a sample whose shape only clients state; the model is tried on three such samples."""

DIMENSIONS_LIMIT = 8

_TEXT_LIMIT = 150
"""Maximum characters of a shape or a list of class names in a message."""


class JobMismatch(InputError):
    """The client's manifest is that of another job."""


class ShapeMismatch(InputError):
    """The client's samples have another shape than the job's."""


class ClassesMismatch(InputError):
    """The client's classes have other names than the job's."""


class ImplausibleClaim(InputError):
    """The client's report of its data exceeds a limit or contradicts itself."""


class UnusableClient(InputError):
    """The client reports that its data, or code of the job's user, cannot be used."""


def check_digest(hello: Hello, digest: bytes) -> None:
    """Check that a client runs the job of ``digest``.

    Raises:
        JobMismatch: it does not.
    """
    if not hmac.compare_digest(hello.job_digest, digest):
        raise JobMismatch.at("", "this client's manifest is of another job; give it the server's manifest")


def check_sample_size(shape: InputShape) -> None:
    """Check that a shape of samples that only clients state is within the limits, each input by itself.

    Raises:
        ImplausibleClaim: it has too many dimensions or elements, or none.
    """
    if isinstance(shape, NamedShapes):
        for position, each in enumerate(shape.inputs):
            # A single number has no dimensions.
            _check_size(each.shape or (1,), f"{INPUTS}[{position}].shape")
    else:
        _check_size(shape, "spec.model.inputShape")


def _check_size(shape: Shape, field: str) -> None:
    if not 0 < len(shape) <= DIMENSIONS_LIMIT or not 0 < math.prod(shape) <= SHAPE_LIMIT:
        raise ImplausibleClaim.at(
            field,
            f"samples of the shape {format_shape(shape)} are not taken on a client's word, at most "
            f"{SHAPE_LIMIT:,} numbers are; set it in the manifest",
        )


def check_shape(shape: InputShape, expected: InputShape) -> None:
    """Check a client's shape of a sample against the job's.

    Raises:
        ShapeMismatch: they differ.
    """
    if shape != expected:
        raise ShapeMismatch.at(
            "spec.data.train",
            f"this client's samples have the shape {format_shape(shape)}, the job's {shape_text(expected)}; "
            f"transform them alike or set {_shape_field(expected)}",
        )


def check_claims(hello: Hello, label_statistics: LabelStatistics, max_samples: int) -> None:
    """Check a client's numbers of samples against spec.data.maxSamplesPerClient, and its label counts.

    Raises:
        ImplausibleClaim: there are too many samples, or the label counts contradict them.
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


def known_reasons(left_out: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers of files and samples that a client left out; unknown reasons count as ``other``."""
    known: dict[str, int] = {}
    for reason, count in left_out.items():
        name = reason if reason in set(LeftOutReason) else "other"
        known[name] = known.get(name, 0) + count
    return {reason: known[reason] for reason in (*LeftOutReason, "other") if known.get(reason)}


def classes_mismatch(names: Sequence[str], agreed: Sequence[str], whose: str) -> ClassesMismatch:
    """Return the error of a client with other class names than the agreed ones, which are ``whose``."""
    union = json.dumps(sorted({*names, *agreed}), ensure_ascii=False)
    problem = (
        f"this client's classes ({_format_names(names)}) are not {whose} ({_format_names(agreed)}); name all "
        f"of them: classes: {one_line(union, 2 * _TEXT_LIMIT)}"
    )
    return ClassesMismatch.at("spec.data.classes", problem)


def _shape_field(shape: InputShape) -> str:
    return f"shape in {INPUTS}" if isinstance(shape, NamedShapes) else "spec.model.inputShape"


def format_shape(shape: InputShape) -> str:
    """Format a shape that a peer sent."""
    if isinstance(shape, NamedShapes):
        return ", ".join(f"{each.name} {format_shape(each.shape)}" for each in shape.inputs)
    return one_line(str(list(shape[: 2 * DIMENSIONS_LIMIT])), _TEXT_LIMIT)


def _format_names(names: Sequence[str]) -> str:
    return one_line(", ".join(names), _TEXT_LIMIT)


def describe_disagreement(shapes: Sequence[tuple[InputShape, int]], patience: float) -> str:
    """Explain why there is no shape of samples: no client came, or clients state different shapes.

    Args:
        shapes: The stated shapes with their numbers of clients, most frequent first.
        patience: Duration of the wait in seconds.
    """
    waited = f"within {patience} s (spec.faultTolerance.quorumTimeoutSeconds)"
    if not shapes:
        return f"no client came {waited}"
    stated = one_line("; ".join(f"{format_shape(shape)} by {count}" for shape, count in shapes[:10]))
    field = _shape_field(shapes[0][0])
    return f"clients did not agree on the shape of a sample {waited}: {stated}; set {field}"
