"""What a checkpoint of the tiny job is made of."""

import torch

from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.settings import settings_from
from pslgs.coordination.state import CoordinatorState
from pslgs.spec import JobSpec
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import build_setup
from server.fakes import INPUTS


def trained_model(spec: JobSpec, steps: int) -> LocalServerModel:
    task, network = build_setup(spec, (INPUTS,))
    model = LocalServerModel(task, network, torch.device("cpu"))
    for step in range(1, steps + 1):
        model.run(torch.ones(3, task.layout.features), torch.ones(3, 1, dtype=torch.int64), step)
        model.apply([torch.ones(len(model.parameters()))], 1)
    return model


def coordinator_state(spec: JobSpec, step: int) -> CoordinatorState:
    document = Coordinator(settings_from(spec, 1), 0.0).state(0.0).to_json()
    epoch = document["epoch"] | {"offsets": {"a": 8 * step} if step else {}}
    return CoordinatorState.from_json(document | {"step": step, "epoch": epoch})
