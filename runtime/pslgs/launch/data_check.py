"""The check of a job's data before it runs: every sample is read, and what would stop the job is found."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from typing_extensions import override

from pslgs.data.client_dataset import ClientDataset
from pslgs.data.client_paths import path_of_client
from pslgs.data.label_space import ClassNames, common_names
from pslgs.data.left_out import Reason, counts_by_reason
from pslgs.data.loading import (
    EVALUATION,
    TRAINING,
    can_decode_in_threads,
    open_evaluation_data,
    open_training_data,
)
from pslgs.data.sample_check import Checking, Watcher
from pslgs.data.transforms import SamplePipeline, evaluation_pipeline, training_pipeline
from pslgs.launch.local_clients import LocalClient
from pslgs.model_inputs import (
    Inputs,
    InputShape,
    declared_shape,
    shape_json,
    shape_of,
    shape_text,
    tensors_of,
)
from pslgs.reporting.formatting import named
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.spec import EvaluationPlace, InputError, JobSpec
from pslgs.spec.data import OnDamagedSample
from pslgs.training.dataset_check import check_dataset
from pslgs.training.setup import build_setup


class CheckView(Protocol):
    """Shows the progress of a check."""

    def begin(self, dataset: "CheckedData") -> None:
        """Begin a dataset."""

    def show(self, checked: int, total: int) -> None:
        """Show how many of the dataset's samples were read."""


@dataclass(slots=True, eq=False)
class CheckedData:
    """What was found in one dataset.

    Attributes:
        client: The client; empty for data that all clients or the server read.
        path: Path of the dataset in the manifest (``spec.data.train``).
        place: Path of its files; empty if it is none.
        pattern: The same in the manifest, with ``{client}``.
        samples: Number of samples that are in order; None if the dataset cannot be opened.
        classes: Class -> number of its samples; empty if labels are not classes.
        shapes: Shape of a sample after the transforms -> number of samples.
        left_out: Reason -> number of files that are not samples.
        damaged: The samples that cannot be read or are not finite: number in the dataset, and what is wrong.
        problems: What stops the job.
    """

    client: str
    path: str
    place: str = ""
    pattern: str = ""
    samples: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    shapes: Counter[InputShape] = field(default_factory=Counter)
    left_out: dict[str, int] = field(default_factory=dict)
    damaged: list[tuple[int, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON."""
        return {
            "field": self.path,
            "client": self.client,
            "samples": self.samples,
            "classes": self.classes,
            "shapes": [
                {"shape": shape_json(shape), "samples": count} for shape, count in self.shapes.items()
            ],
            "leftOut": self.left_out,
            "damaged": [{"sample": number, "problem": problem} for number, problem in self.damaged],
            "problems": self.problems,
        }


def check_data(
    spec: JobSpec, clients: Sequence[LocalClient], cache: Path, threads: int, view: CheckView
) -> list[CheckedData]:
    """Read all training and evaluation samples, and check that they fit each other, the model and the loss.

    Args:
        spec: The job; its partition, if it has one, is not drawn: the common dataset is read once.
        clients: The clients whose data are read.
        cache: Folder for converted datasets.
        threads: Number of threads that read samples.
        view: Shows the progress.

    Raises:
        InputError: the model cannot be used.
    """
    reader = _Reader(spec, cache, threads if can_decode_in_threads(spec.data) else 1, view)
    whole = spec.data.partition is not None
    names = [""] if whole else [client.client_id for client in clients]
    read = [reader.read(name, TRAINING) for name in names]
    class_names, are_common = _common_classes(read)
    evaluation = spec.data.evaluation
    if evaluation is not None:
        own = evaluation.at is EvaluationPlace.CLIENTS and (evaluation.is_per_client or not whole)
        read += [reader.read(name, EVALUATION, class_names) for name in (names if own else [""])]
    if are_common:
        _check_fit(spec, read)
    return [found for found, _ in read]


def problems_of(found: Sequence[CheckedData]) -> list[str]:
    """Return what stops the job: each problem once, with the clients whose data have it if they are several.

    Problems are the same if they differ by client and by the client's name in paths only.
    """
    having: dict[str, list[tuple[CheckedData, str]]] = {}
    for each in found:
        for problem in each.problems:
            having.setdefault(_without_client(each, problem), []).append((each, problem))
    return [
        f"{general} ({named(clients)})" if len(clients) > 1 else members[0][1]
        for general, members in having.items()
        for clients in [[*dict.fromkeys(each.client for each, _ in members)]]
    ]


def _without_client(found: CheckedData, problem: str) -> str:
    """Return a problem as any client could have it."""
    problem = problem.replace(f"client '{found.client}', ", "")
    place, pattern = (Path(path).expanduser().parts for path in (found.place, found.pattern))
    parts = enumerate(zip(place, pattern, strict=False), 1)
    depth = next((depth for depth, (own, general) in parts if own != general), None)
    if depth is None:
        return problem
    return problem.replace(f"'{Path(*place[:depth])}", f"'{Path(*pattern[:depth])}")


def batch_size_problem(spec: JobSpec, found: Sequence[CheckedData]) -> str | None:
    """Return what is wrong with the size of the global batch for all training samples, if it is known."""
    training = [each for each in found if each.path == TRAINING]
    known = [each.samples for each in training if each.samples is not None]
    if len(known) < len(training):
        return None
    pooled = sum(known)
    violation = batch_size_violation(spec.sampling.global_batch_size, pooled)
    return None if violation is None else str(violation)


_Read = tuple[CheckedData, ClientDataset | None]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads datasets of a job."""

    spec: JobSpec
    cache: Path
    threads: int
    view: CheckView

    def read(self, client: str, path: str, class_names: ClassNames | None = None) -> _Read:
        """Read a dataset; evaluation data are numbered by the classes of the training data."""
        source = self.spec.data.train if path == TRAINING else self.spec.data.evaluation
        pattern = source.path if source and source.path else ""
        found = CheckedData(client, path, path_of_client(pattern, client), pattern)
        self.view.begin(found)
        try:
            dataset = self._open(found, class_names)
        except InputError as error:
            _add_problem(found, error)
            return found, None
        finally:
            if self.spec.data.on_damaged_sample is OnDamagedSample.FAIL and found.damaged:
                number = len(found.damaged)
                found.problems.append(
                    f"{path}: {number:,} damaged {'sample' if number == 1 else 'samples'}; repair or remove "
                    "them, or set spec.data.onDamagedSample: Skip"
                )
        found.samples = dataset.samples
        found.classes = dict(_class_counts(dataset))
        found.left_out = counts_by_reason(
            each for each in dataset.left_out if each.reason is not Reason.DAMAGED
        )
        if len(found.shapes) > 1:
            shapes = ", ".join(
                f"{count:,} of {shape_text(shape)}" for shape, count in found.shapes.most_common(5)
            )
            found.problems.append(
                f"{path}: samples differ in shape ({shapes}); add a transform, such as Resize"
            )
        return found, dataset

    def _open(self, found: CheckedData, class_names: ClassNames | None) -> ClientDataset:
        data = self.spec.data.model_copy(
            update={"on_damaged_sample": OnDamagedSample.SKIP, "partition": None}
        )
        pipeline = training_pipeline(data) if found.path == TRAINING else evaluation_pipeline(data)
        checking = Checking(self.threads, lambda: _Inspector(found, pipeline, self.view.show))
        if found.path == TRAINING:
            return open_training_data(
                data,
                client_id=found.client,
                partition_index=None,
                seed=self.spec.sampling.seed,
                cache=self.cache,
                checking=checking,
            )
        return open_evaluation_data(
            data,
            client_id=found.client or None,
            seed=self.spec.sampling.seed,
            cache=self.cache,
            class_names=class_names,
            checking=checking,
        )


class _Inspector(Watcher):
    """Adds what is found in samples to ``found``."""

    def __init__(
        self, found: CheckedData, pipeline: SamplePipeline, show: Callable[[int, int], None]
    ) -> None:
        self._found = found
        self._pipeline = pipeline
        self._show = show

    @override
    def on_sample(self, index: int, sample: Inputs) -> None:
        inputs = self._pipeline.collate([self._pipeline.transform(sample)])
        if not all(bool(each.isfinite().all()) for each in tensors_of(inputs)):
            raise InputError.at(
                "spec.data.transforms",
                f"make values of sample {index} infinite or NaN; change their arguments",
            )
        self._found.shapes[shape_of(inputs)] += 1

    @override
    def on_damaged(self, index: int, problem: str) -> None:
        self._found.damaged.append((index, problem))

    @override
    def on_progress(self, checked: int, total: int) -> None:
        self._show(checked, total)


def _common_classes(read: Sequence[_Read]) -> tuple[ClassNames | None, bool]:
    """Return the names of the classes of the training data, and whether all clients have the same."""
    opened = [(found, dataset) for found, dataset in read if dataset is not None]
    if not opened:
        return None, True
    try:
        return common_names(dataset for _, dataset in opened) or (), True
    except InputError as error:
        _add_problem(opened[0][0], error)
        return opened[0][1].class_names or (), False


def _check_fit(spec: JobSpec, read: Sequence[_Read]) -> None:
    """Check that the datasets fit the model and the loss; the first training data give the shape."""
    opened = [(found, dataset) for found, dataset in read if dataset is not None]
    shape = declared_shape(spec) or next(
        (dataset.input_shape for found, dataset in opened if found.path == TRAINING), None
    )
    if shape is None:
        return
    setup, _ = build_setup(spec, shape)
    for found, dataset in opened:
        try:
            check_dataset(setup, dataset, found.path)
        except InputError as error:
            _add_problem(found, error)


def _add_problem(found: CheckedData, error: InputError) -> None:
    found.problems.extend(map(str, error.violations))


def _class_counts(dataset: ClientDataset) -> Iterator[tuple[str, int]]:
    if dataset.labels.ndim != 1 or not np.issubdtype(dataset.labels.dtype, np.integer):
        return
    names: Mapping[int, str] = dict(enumerate(dataset.class_names or ()))
    numbers, counts = np.unique(dataset.labels, return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        yield names.get(number, str(number)), count
