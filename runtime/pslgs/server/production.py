"""Puts a server together once it is known what is trained, and leads it to the end."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.effects import Finish
from pslgs.coordination.events import TICK_SECONDS, Event, StopRequested
from pslgs.coordination.from_spec import settings_from
from pslgs.data.local import LocalDataset
from pslgs.data.opening import EVALUATION, open_evaluation_data
from pslgs.lifecycle.tasks import together
from pslgs.server import keeper
from pslgs.server.attendance import Attendance
from pslgs.server.client_faults import ClientFaults
from pslgs.server.conductor import Conductor, SaveNow
from pslgs.server.device import device_for
from pslgs.server.doorway import Doorway
from pslgs.server.evaluations import EvaluationRunner
from pslgs.server.hello_checks import ShapeMismatch, check_size_of_sample, no_agreement
from pslgs.server.model_file import write_model
from pslgs.server.options import ServerOptions
from pslgs.server.population import Population
from pslgs.server.scribe import Scribe
from pslgs.server.stage import Stage, Tell
from pslgs.server.switchboard import Switchboard
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import SplitTrainingJob
from pslgs.splitting.network import build_network
from pslgs.splitting.split import SplitNetwork
from pslgs.training.checkpoint import Checkpoint, CheckpointError, CheckpointStore
from pslgs.training.fitness import check_dataset
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.server_model import ServerModel
from pslgs.training.task import Task, task_of
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.codec import codec_for
from pslgs.wire.dialling import RETURN_SECONDS

_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Built:
    """What is there once the model is built and the checkpoint, if any, is put back."""

    task: Task
    model: ServerModel
    population: Population
    restored: keeper.Restored | None


class Production:
    """One job at its server."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything that is opened before it
        self,
        job: SplitTrainingJob,
        options: ServerOptions,
        scribe: Scribe,
        faults: ClientFaults,
        torch: TorchThread,
        store: CheckpointStore,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._spec = job.spec
        self._options = options
        self._scribe = scribe
        self._faults = faults
        self._torch = torch
        self._store = store
        self._checkpoint = checkpoint
        self._digest = job_digest(job.spec)

    async def run(self, doorway: Doorway, stop: asyncio.Future[str]) -> Finish:
        """Train until the job is finished or ``stop`` is resolved; write the model if it is finished.

        Raises:
            InputError: the model, the data or the checkpoint cannot be used.
            OSError: the model cannot be written.
        """
        data = await self._torch.run(self._open_evaluation_data)
        network = await self._torch.run(build_network, self._spec.model, self._spec.sampling.seed)
        known = self._spec.model.input_shape or (data.input_shape if data else None)
        if known:
            task = await self._torch.run(task_of, self._spec, network, known)
        else:
            found = await self._agreed_task(network, doorway, stop)
            if isinstance(found, Finish):
                self._scribe.finish(self._scribe.status.step, found.exit_code, found.message)
                return found
            task = found
        device, lack = await self._torch.run(device_for, self._options.device, self._spec.server.gpus)
        if lack:
            self._scribe.notice(lack)
        built = await self._torch.run(self._build, task, network, data, device)
        if built.restored and built.restored.checkpoint is not self._checkpoint:
            older = built.restored.checkpoint
            self._scribe.go_on_after(older.step, older.state.get("progress"))
        async with together() as tasks:
            return await self._lead(tasks, built, data, doorway, stop)

    async def _agreed_task(
        self, network: SplitNetwork, doorway: Doorway, stop: asyncio.Future[str]
    ) -> Task | Finish:
        """Wait until clients agree on a shape of samples that the network can take.

        Raises:
            InputError: more than half of the expected clients state a shape that it cannot take.
        """
        patience = self._spec.fault_tolerance.quorum_timeout_seconds
        deadline = time.monotonic() + patience
        while True:
            agreement = asyncio.ensure_future(doorway.shapes.agreement())
            either: list[asyncio.Future[Any]] = [agreement, stop]
            left = max(0.0, deadline - time.monotonic())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not agreement.done():
                agreement.cancel()
                if stop.done():
                    return Finish(ExitCode.INTERRUPTED, stop.result())
                return Finish(ExitCode.QUORUM_LOST, no_agreement(doorway.shapes.summary(), patience))
            agreed = agreement.result()
            try:
                check_size_of_sample(agreed.value)
                return await self._torch.run(task_of, self._spec, network, agreed.value)
            except InputError as error:
                if agreed.proved:
                    raise
                doorway.refuse_shape(agreed.value, ShapeMismatch(*error.violations))

    async def _lead(
        self,
        tasks: asyncio.TaskGroup,
        built: _Built,
        data: LocalDataset | None,
        doorway: Doorway,
        stop: asyncio.Future[str],
    ) -> Finish:
        settings = settings_from(self._spec, self._options.expected_clients, RETURN_SECONDS)
        state = built.restored.state if built.restored else None
        coordinator = Coordinator(settings, time.monotonic(), state)
        conductor: Conductor

        def tell(event: Event) -> None:
            conductor.tell(event)

        stage = self._stage(tasks, built, tell)
        evaluations = EvaluationRunner(stage, data, settings.evaluation_range)
        prepare = partial(self._prepare_checkpoint, coordinator, built)
        conductor = Conductor(stage, coordinator, evaluations, prepare)
        doorway.attendance.set_result(self._attendance(conductor, stage))
        beside = [tasks.create_task(_tick(conductor, doorway)), tasks.create_task(_stop(conductor, stop))]
        finish = await conductor.conduct()
        for task in beside:
            task.cancel()
        if finish.exit_code is ExitCode.FINISHED:
            await self._torch.run(write_model, built.model.named_tensors(), self._options.run)
        await stage.switchboard.flush(_FLUSH_SECONDS)
        return finish

    def _attendance(self, conductor: Conductor, stage: Stage) -> Attendance:
        return Attendance(
            conductor,
            stage.switchboard,
            stage.population,
            stage.task.input_shape,
            self._spec.data.max_samples_per_client,
            stage.clock,
        )

    def _stage(self, tasks: asyncio.TaskGroup, built: _Built, tell: Tell) -> Stage:
        layout = built.task.layout
        return Stage(
            task=built.task,
            model=built.model,
            torch=self._torch,
            encoding=codec_for(self._spec.transport.compression, layout.features, layout.dtype),
            switchboard=Switchboard(tasks),
            population=built.population,
            scribe=self._scribe,
            faults=self._faults,
            tasks=tasks,
            tell=tell,
            clock=time.monotonic,
        )

    def _open_evaluation_data(self) -> LocalDataset | None:
        evaluation = self._spec.data.evaluation
        if evaluation is None or evaluation.at is not EvaluationPlace.SERVER:
            return None
        return open_evaluation_data(self._spec.data, cache=self._options.cache)

    def _build(
        self, task: Task, network: SplitNetwork, data: LocalDataset | None, device: torch.device
    ) -> _Built:
        if data is not None:
            check_dataset(task, data, EVALUATION)
        model = LocalServerModel(task, network, device)
        population = Population(task.objective.classes)
        restored = None
        if self._checkpoint:
            restored = keeper.restore(self._store, self._checkpoint, self._spec, model, population)
        return _Built(task, model, population, restored)

    def _prepare_checkpoint(self, coordinator: Coordinator, built: _Built) -> SaveNow:
        """Fix what the coordinator remembers now; the torch thread writes it when it comes to it."""
        state, progress = coordinator.state(time.monotonic()), self._scribe.progress()
        rest = keeper.snapshot(state, built.population, self._spec, progress)

        def save(step: int) -> str | None:
            try:
                keeper.save(self._store, step, built.model, rest)
            except CheckpointError as error:
                return str(error)
            return None

        return save


async def _tick(conductor: Conductor, doorway: Doorway) -> None:
    while True:
        conductor.tick()
        doorway.class_names.review()
        await asyncio.sleep(TICK_SECONDS)


async def _stop(conductor: Conductor, stop: asyncio.Future[str]) -> None:
    conductor.tell(StopRequested(await asyncio.shield(stop)))
