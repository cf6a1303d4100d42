"""The text of a drafted manifest, with comments on what was found and what may be changed."""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import yaml

from pslgs.drafting import choices
from pslgs.drafting.choices import Answers
from pslgs.drafting.contents import Contents, SampleKind, column_fields
from pslgs.drafting.places import Places
from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.inputs import Standardization

_COMMENTS: Final = 44
"""Column at which comments begin."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"", "false", "n", "no", "null", "off", "on", "true", "y", "yes"})
"""Texts, in lower case, that YAML takes for something else."""
_SITES_SHOWN: Final = 20
_WORKING_FOLDER: Final = Path("/workspace")
"""Working folder of the containers."""


def manifest_text(places: Places, contents: Contents, answers: Answers, epochs: int = 10) -> str:
    """Return the manifest of a job over data that were found, with the user's answers."""
    blocks = (
        _head(answers),
        _model(answers),
        _data(places, contents, answers),
        _training(contents, epochs),
        _operation(places),
    )
    return "\n".join(line for block in blocks for line in block) + "\n"


def scalar(value: object) -> str:
    """Return a value as YAML in one line, as it is read by `pslgs.spec.manifest`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {scalar(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=math.inf)
    return quoted.rstrip("\n")


def _line(text: str, comment: str = "") -> str:
    return f"{text:<{_COMMENTS}} # {comment}" if comment else text


def _head(answers: Answers) -> Iterator[str]:
    yield "# Drafted by `pslgs init`.  Every field: docs/reference/fields.md, or `kubectl explain stj.spec`."
    yield "#"
    yield "#   pslgs check FILE        read every sample, and say what would stop the job"
    yield "#   pslgs plan FILE         compare cut layers: traffic, memory, time of a step"
    yield "#   pslgs run FILE          train on this machine"
    yield "apiVersion: pslgs.dev/v1alpha1"
    yield "kind: SplitTrainingJob"
    yield "metadata:"
    yield f"  name: {scalar(answers.name)}"
    yield "spec:"


def _model(answers: Answers) -> Iterator[str]:
    yield "  model:"
    yield _line(
        f"    architecture: {scalar(answers.network.architecture)}",
        "or a classifier of torchvision, or package.module:function",
    )
    if answers.network.options:
        yield f"    options: {scalar(answers.network.options)}"
    if answers.cut_layer is not None:
        yield _line(
            f"    cutLayer: {scalar(answers.cut_layer)}",
            "clients compute up to this layer and send its outputs",
        )


def _data(places: Places, contents: Contents, answers: Answers) -> Iterator[str]:
    yield "  data:"
    if answers.classes:
        yield "    # The number of a class is its position in this list, from 0."
        yield f"    classes: {scalar(answers.classes)}"
    yield "    train:"
    yield from _found(contents)
    if places.clients:
        yield "      # {client} is a client's id: one of those above, or in a cluster a node's name with a"
        yield "      # number (edge-1-0).  Leave it out where nodes hold only their own data."
    yield from _source(places, contents, places.train)
    yield from _evaluation(places, contents)
    yield from _inputs(contents)
    if answers.partition:
        yield "    # For an experiment, the dataset is divided among clients.  Remove this where clients"
        yield "    # have data of their own, in a path with {client} or on the volumes of their nodes."
        yield f"    partition: {scalar({'scheme': 'IID', 'clients': answers.partition})}"


def _found(contents: Contents) -> Iterator[str]:
    """Describe the clients' data in comments."""
    for site in contents.sites[:_SITES_SHOWN]:
        classes = ", ".join(f"{scalar(name)} {count:,}" for name, count in site.classes.items())
        yield f"      # {site.client or 'found'}: {site.samples:,} samples" + (
            f" ({classes})" if classes else ""
        )
    more = len(contents.sites) - _SITES_SHOWN
    if more > 0:
        yield f"      # … and {more:,} more clients"
    if contents.columns is None:
        return
    texts = contents.columns.texts
    unused = [name for name in contents.columns.unused if name not in texts]
    if unused:
        yield f"      # columns that are not read: {', '.join(map(scalar, unused))}"
    if texts:
        yield f"      # left out, because they are texts: {', '.join(map(scalar, texts))}"
        yield "      # (to use one, give a column of 0 and 1 for each of its categories)"


def _source(places: Places, contents: Contents, path: str) -> Iterator[str]:
    yield f"      format: {places.format}"
    yield f"      path: {_path(path)}"
    if contents.columns is not None:
        for name, value in column_fields(contents.columns, places.format).items():
            yield f"      {name}: {scalar(value)}"


def _path(path: str) -> str:
    """Return a path as a value of a block, where the braces of the placeholder need no quotes."""
    plain = path.replace(CLIENT_PLACEHOLDER, "client").replace("*", "x")
    return path if _PLAIN.fullmatch(plain) and path[0] not in "{*" else scalar(path)


def _evaluation(places: Places, contents: Contents) -> Iterator[str]:
    if places.evaluation is None:
        yield "    # No data for an evaluation were found.  With such data, the accuracy is measured:"
        yield "    # evaluation:"
        yield _line("    #   at: Clients", "each client reads its own; or Server")
        yield f"    #   format: {places.format}"
        yield "    #   path: …"
        return
    at_clients = CLIENT_PLACEHOLDER in places.evaluation
    yield "    evaluation:"
    yield _line(
        f"      at: {'Clients' if at_clients else 'Server'}",
        "test data stay at the clients, too" if at_clients else "the server reads these data",
    )
    yield from _source(places, contents, places.evaluation)


def _inputs(contents: Contents) -> Iterator[str]:
    """Say how stored values become inputs."""
    if contents.kind is SampleKind.TOKENS:
        yield _line("    inputType: Integer", "tokens for an Embedding")
        yield _line(f"    length: {contents.length}", "longer lists are cut, shorter ones filled up with 0")
    if contents.layout is not None:
        yield _line(f"    layout: {contents.layout}", "order of the stored dimensions")
    size = choices.resized_to(contents)
    if size is not None:
        yield "    transforms:"
        yield f"      - {scalar({'name': 'Resize', 'size': size})}"
        yield _line("      # - {name: RandomHorizontalFlip}", "if a mirrored image has the same label")
    standardize = _standardization(contents)
    if standardize is not None:
        yield _line(f"    standardize: {standardize}", "mean 0 and deviation 1, over all clients")


def _standardization(contents: Contents) -> Standardization | None:
    if contents.kind is SampleKind.SERIES:
        return Standardization.PER_CHANNEL
    is_vector = contents.kind is SampleKind.FEATURES and len(contents.shape) == 1
    return Standardization.PER_FEATURE if is_vector else None


def _training(contents: Contents, epochs: int) -> Iterator[str]:
    if not contents.classes:
        yield "  loss: MeanSquaredError"
    for remark in contents.remarks():
        yield f"  # {' '.join(remark.split())}"
    yield _line(f"  epochs: {epochs}", "passes over all samples")
    yield f"  optimizer: {scalar({'name': 'AdamW', 'learningRate': 0.001})}"
    yield _line(
        f"  sampling: {scalar({'globalBatchSize': choices.batch_size(contents)})}",
        "samples of a step, over all clients",
    )


def _operation(places: Places) -> Iterator[str]:
    """Show what a cluster needs, as comments."""
    mount = scalar({"name": "data", "mountPath": _data_folder(places), "readOnly": True})
    yield from _commented(
        "In a cluster, clients run on the nodes with this label and read the data that are mounted there:",
        "checkpoint:",
        "  storage: {size: 1Gi}                   # keeps checkpoints and the model; see `pslgs model`",
        "clients:",
        '  nodeSelector: {pslgs.dev/edge: "true"}',
        "  template:",
        "    spec:",
        "      volumes: [{name: data, hostPath: {path: /srv/data, type: Directory}}]",
        "      containers:",
        f"        - {{name: client, volumeMounts: [{mount}]}}",
    )


def _data_folder(places: Places) -> str:
    """Return the folder in a client's container in which all of the data have to be."""
    paths = [path for path in (places.train, places.evaluation) if path is not None]
    return os.path.commonpath([os.path.normpath(_WORKING_FOLDER / _folder(path)) for path in paths])


def _folder(path: str) -> Path:
    """Return the folder before the first part of a path that is a file or differs by client or file."""
    parts = Path(path).parts
    fixed = takewhile(lambda part: not set(part) & set("{*?["), parts)
    folder = Path(*fixed)
    return folder.parent if folder == Path(path) and folder.suffix else folder


def _commented(*lines: str) -> Sequence[str]:
    return [f"  # {line}" for line in lines]
