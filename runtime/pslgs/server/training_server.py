"""Builds the parts of a server once the model is known, and trains to the end."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from safetensors import SafetensorError

from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.coordination.messages import TICK_SECONDS, Event, Finish, KeepBest, StopRequested
from pslgs.coordination.settings import settings_from
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import EVALUATION, open_evaluation_data
from pslgs.model_inputs import declared_shape
from pslgs.process.tasks import task_group
from pslgs.server import run_checkpoint
from pslgs.server.client_faults import ClientFaults
from pslgs.server.connections import ClientConnections
from pslgs.server.context import PostEvent, ServerContext
from pslgs.server.driver import CoordinatorDriver, SaveNow, WriteNow
from pslgs.server.evaluation_runner import EvaluationRunner
from pslgs.server.feature_statistics import FeatureStatistics
from pslgs.server.hello_checks import ShapeMismatch, check_sample_size, describe_disagreement
from pslgs.server.label_statistics import LabelStatistics
from pslgs.server.options import ServerOptions
from pslgs.server.recorder import RunRecorder
from pslgs.server.run_checkpoint import write_model
from pslgs.server.session_handler import SessionHandler, StartupGate
from pslgs.spec.data import DataSpec, EvaluationPlace
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.result_files import BEST_FILE
from pslgs.splitting.initial_weights import load_initial_weights
from pslgs.splitting.split_network import SplitNetwork
from pslgs.telemetry.records import WeightsRecord
from pslgs.training.checkpoint import Checkpoint, CheckpointError, CheckpointStore
from pslgs.training.dataset_check import check_dataset
from pslgs.training.description import ModelDescription, describe
from pslgs.training.device import missing_gpus, server_devices
from pslgs.training.distributed_passes import DistributedPasses
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.server_model import ServerModel
from pslgs.training.setup import TrainingSetup, job_network, task_of
from pslgs.training.torch_thread import TorchThread
from pslgs.training.worker_processes import WorkerProcesses, start_workers
from pslgs.transport.client_connection import RECONNECT_SECONDS
from pslgs.transport.codec import codec_for

_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Built:
    """The model and the state of the run after restoring the checkpoint, if there is one."""

    task: TrainingSetup
    model: ServerModel
    description: ModelDescription
    data: DataSpec
    restored: run_checkpoint.Restored | None

    def described(self, class_names: tuple[str, ...], scale: FeatureScale | None) -> ModelDescription:
        """Return the description of the model, with class names and scale of inputs if they are known."""
        classes = class_names or self.description.classes
        return replace(self.description.scaled_by(scale, self.data), classes=classes)


class TrainingServer:
    """Trains one job at its server."""

    def __init__(  # noqa: PLR0913, PLR0917 - resources opened before it
        self,
        job: SplitTrainingJob,
        options: ServerOptions,
        recorder: RunRecorder,
        faults: ClientFaults,
        torch: TorchThread,
        store: CheckpointStore,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._spec = job.spec
        self._options = options
        self._recorder = recorder
        self._faults = faults
        self._torch = torch
        self._store = store
        self._checkpoint = checkpoint
        self._digest = job_digest(job.spec)

    async def run(self, startup_gate: StartupGate, stop: asyncio.Future[str]) -> Finish:
        """Train until the job is finished or ``stop`` is resolved; write the model if it is finished.

        Raises:
            InputError: the model, the data or the checkpoint cannot be used.
            OSError: the model cannot be written.
        """
        data = await self._torch.run(self._open_evaluation_data)
        network = await self._torch.run(job_network, self._spec)
        await self._load_initial_weights(network)
        known = declared_shape(self._spec) or (data.input_shape if data else None)
        if known:
            task = await self._torch.run(task_of, self._spec, network, known)
        else:
            found = await self._agreed_task(network, startup_gate, stop)
            if isinstance(found, Finish):
                self._recorder.finish(self._recorder.status.step, found.exit_code, found.message)
                return found
            task = found
        name, gpus = self._options.device, self._spec.server.gpus
        devices = await self._torch.run(server_devices, name, gpus)
        lack = missing_gpus(devices, name, gpus)
        if lack:
            self._recorder.notice(lack)
        async with _workers(self._torch, devices) as workers, task_group() as tasks:
            watching = [tasks.create_task(workers.watch())] if workers else []
            built = await self._torch.run(self._build, task, network, data, devices[0], workers)
            if built.restored and built.restored.checkpoint is not self._checkpoint:
                older = built.restored.checkpoint
                self._recorder.resume_after(older.step, older.state.get("progress"))
            finish = await self._train(tasks, built, data, startup_gate, stop)
            for each in watching:
                each.cancel()
            return finish

    async def _load_initial_weights(self, network: SplitNetwork) -> None:
        """Load the initial weights of a training that begins; a checkpoint has all weights itself.

        Raises:
            InputError: they cannot be read, or do not fit the network.
        """
        weights = self._spec.model.initial_weights
        if weights is None or self._checkpoint is not None:
            return
        loaded = await self._torch.run(load_initial_weights, network, weights)
        self._recorder.write(WeightsRecord(self._recorder.now(), 0, str(loaded)))

    async def _agreed_task(
        self, network: SplitNetwork, startup_gate: StartupGate, stop: asyncio.Future[str]
    ) -> TrainingSetup | Finish:
        """Wait until clients agree on a shape of samples that the network accepts.

        Raises:
            InputError: the shape that more than half of the clients state cannot be used.
        """
        patience = self._spec.fault_tolerance.quorum_timeout_seconds
        deadline = time.monotonic() + patience
        while True:
            agreement = asyncio.ensure_future(startup_gate.shapes.wait_for_agreement())
            unusable = startup_gate.unusable
            either: list[asyncio.Future[Any]] = [agreement, stop, unusable]
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not agreement.done():
                agreement.cancel()
                if unusable.done():
                    return Finish(ExitCode.BAD_INPUT, str(unusable.result()))
                if stop.done():
                    return Finish(ExitCode.INTERRUPTED, stop.result())
                return Finish(
                    ExitCode.QUORUM_LOST, describe_disagreement(startup_gate.shapes.counts(), patience)
                )
            agreed = agreement.result()
            try:
                check_sample_size(agreed.value)
                return await self._torch.run(task_of, self._spec, network, agreed.value)
            except InputError as error:
                if agreed.proved:
                    raise
                startup_gate.refuse_shape(agreed.value, ShapeMismatch(*error.violations))

    async def _train(
        self,
        tasks: asyncio.TaskGroup,
        built: _Built,
        data: ClientDataset | None,
        startup_gate: StartupGate,
        stop: asyncio.Future[str],
    ) -> Finish:
        settings = settings_from(self._spec, self._options.expected_clients, RECONNECT_SECONDS)
        state, label_counts = (
            (built.restored.state, built.restored.label_counts) if built.restored else (None, None)
        )
        coordinator = Coordinator(settings, time.monotonic(), state, label_counts)
        driver: CoordinatorDriver

        def post(event: Event) -> None:
            driver.post(event)

        context = self._context(tasks, built, data, coordinator, post)
        evaluations = EvaluationRunner(
            context,
            data,
            settings.evaluation_range,
            settings.comparison.metric,
            lambda: (data.class_names if data else None) or startup_gate.class_names.names,
        )
        prepare = partial(self._prepare_checkpoint, coordinator, built, startup_gate, context.features)
        keep_best = partial(self._prepare_best, built, startup_gate, context.features)
        driver = CoordinatorDriver(context, coordinator, evaluations, prepare, keep_best)
        if data is not None and data.awaits_names:
            startup_gate.class_names.follow(partial(self._number_classes, tasks, data))
        startup_gate.session_handler.set_result(self._session_handler(driver, context))
        background = [
            tasks.create_task(_report_unusable(driver, startup_gate)),
            tasks.create_task(_tick(driver, startup_gate)),
            tasks.create_task(_stop(driver, stop)),
        ]
        finish = await driver.run()
        for task in background:
            task.cancel()
        if finish.exit_code is ExitCode.FINISHED:
            description = built.described(startup_gate.class_names.names, context.features.scale)
            await self._torch.run(write_model, built.model.named_tensors(), description, self._options.run)
        await context.connections.flush(_FLUSH_SECONDS)
        return finish

    def _number_classes(self, tasks: asyncio.TaskGroup, data: ClientDataset, names: tuple[str, ...]) -> None:
        """Number the classes of the evaluation data as clients do, before any of their steps."""
        place = self._spec.data.evaluation.path if self._spec.data.evaluation else None
        tasks.create_task(self._torch.run(data.number_classes, names, place or ""))

    def _session_handler(self, driver: CoordinatorDriver, context: ServerContext) -> SessionHandler:
        return SessionHandler(
            driver,
            context.connections,
            context.label_statistics,
            context.task.input_shape,
            self._spec.data.max_samples_per_client,
            context.clock,
            context.features,
            self._spec.data.inputs,
            self._spec.fault_tolerance.client_timeout_seconds,
        )

    def _context(
        self,
        tasks: asyncio.TaskGroup,
        built: _Built,
        data: ClientDataset | None,
        coordinator: Coordinator,
        post: PostEvent,
    ) -> ServerContext:
        layout, scale = built.task.layout, None
        if built.restored:
            scale = run_checkpoint.stored_scale(built.restored.checkpoint, built.task.features)
        return ServerContext(
            task=built.task,
            model=built.model,
            torch=self._torch,
            encoding=codec_for(self._spec.transport.compression, layout.features, layout.dtype),
            connections=ClientConnections(),
            label_statistics=LabelStatistics(built.task.objective.classes, coordinator.membership),
            recorder=self._recorder,
            faults=self._faults,
            tasks=tasks,
            post=post,
            clock=time.monotonic,
            features=FeatureStatistics(
                built.task.features,
                built.task.values_per_feature,
                scale,
                data,
            ),
        )

    def _open_evaluation_data(self) -> ClientDataset | None:
        evaluation = self._spec.data.evaluation
        if evaluation is None or evaluation.at is not EvaluationPlace.SERVER:
            return None
        return open_evaluation_data(self._spec.data, cache=self._options.cache)

    def _build(
        self,
        task: TrainingSetup,
        network: SplitNetwork,
        data: ClientDataset | None,
        device: torch.device,
        workers: WorkerProcesses | None,
    ) -> _Built:
        if data is not None:
            check_dataset(task, data, EVALUATION)
        passes = DistributedPasses(workers, self._spec, task, network.server_part) if workers else None
        model = LocalServerModel(task, network, device, passes)
        restored = None
        if self._checkpoint:
            restored = run_checkpoint.restore(
                self._store, self._checkpoint, self._spec, model, task.objective.classes
            )
        return _Built(task, model, describe(self._spec, task, network, None), self._spec.data, restored)

    def _prepare_best(
        self, built: _Built, startup_gate: StartupGate, features: FeatureStatistics, best: KeepBest
    ) -> WriteNow:
        """Return what writes the model of the best evaluation, in the torch thread."""
        description = built.described(startup_gate.class_names.names, features.scale)

        def write() -> str | None:
            if not self._spec.checkpoint.best:
                return None
            try:
                write_model(built.model.named_tensors(), description, self._options.run, BEST_FILE)
            except (OSError, SafetensorError) as error:
                return f"{BEST_FILE}, of the evaluation after epoch {best.epoch}, cannot be written: {error}"
            return None

        return write

    def _prepare_checkpoint(
        self,
        coordinator: Coordinator,
        built: _Built,
        startup_gate: StartupGate,
        features: FeatureStatistics,
    ) -> SaveNow:
        """Copy the present state of the coordinator, for a checkpoint that the torch thread writes later."""
        state, progress = coordinator.state(time.monotonic()), self._recorder.progress()
        label_counts, scale = coordinator.membership.label_counts(), features.to_json()
        description = built.described(startup_gate.class_names.names, features.scale)

        def save(step: int) -> str | None:
            rest = run_checkpoint.snapshot(state, label_counts, self._spec, progress, description, scale)
            try:
                run_checkpoint.save(self._store, step, built.model, rest)
            except CheckpointError as error:
                return str(error)
            return None

        return save


@asynccontextmanager
async def _workers(
    thread: TorchThread, devices: Sequence[torch.device]
) -> AsyncIterator[WorkerProcesses | None]:
    """Provide the processes of all devices but the first; None for a single device."""
    if len(devices) == 1:
        yield None
        return
    workers = await thread.run(start_workers, devices)
    try:
        yield workers
    finally:
        workers.stop()  # the torch thread may be waiting for one of them
        await thread.run(workers.close)


async def _tick(driver: CoordinatorDriver, startup_gate: StartupGate) -> None:
    while True:
        driver.tick()
        startup_gate.class_names.review()
        await asyncio.sleep(TICK_SECONDS)


async def _report_unusable(driver: CoordinatorDriver, startup_gate: StartupGate) -> None:
    driver.post(await asyncio.shield(startup_gate.unusable))


async def _stop(driver: CoordinatorDriver, stop: asyncio.Future[str]) -> None:
    driver.post(StopRequested(await asyncio.shield(stop)))
