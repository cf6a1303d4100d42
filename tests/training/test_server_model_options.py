"""What the options of a training change in the server's model."""

import copy
import math

import numpy as np
import pytest
import torch

from exactness.small_job import FEATURES, job_spec
from pslgs.coordination.epoch_position import EpochPosition
from pslgs.spec import InputError, OptimizerSpec
from pslgs.training.checkpoint import CheckpointError
from pslgs.training.client_step import ClientStep
from pslgs.training.evaluation import Score
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.outputs import tally_outputs
from pslgs.training.schedule import Plateau, learning_rate
from pslgs.training.setup import build_setup
from pslgs.training.tensors import floating_tensors, load_vector


class Trainer:
    """A server's model, and a step with one client that sends the same gradient again and again."""

    def __init__(self, **spec):
        self.task, network = build_setup(job_spec(**spec), (FEATURES,))
        self.client_part = copy.deepcopy(network.client_part)
        self.model = LocalServerModel(self.task, network, torch.device("cpu"))

    def run(self, step):
        random = torch.Generator().manual_seed(step)
        smashed = torch.randn(4, self.task.layout.features, generator=random, dtype=torch.float64)
        return self.model.run(smashed, torch.tensor([[0], [1], [2], [0]]), step)

    def apply(self, taken=0, planned=9):
        gradient = torch.ones(self.task.client_gradient_elements, dtype=torch.float64)
        return self.model.apply([gradient], 1, EpochPosition(taken, planned))

    def tensors(self):
        return {name: tensor.detach().clone() for name, tensor in self.model.named_tensors().items()}


def equal(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_an_abandoned_attempt_leaves_the_accumulated_gradients_alone():
    disturbed, undisturbed = (Trainer(optimizer={"accumulate": 2}) for _ in range(2))
    for trainer in (disturbed, undisturbed):
        trainer.run(1)
        trainer.apply(0)
    disturbed.run(2)
    disturbed.model.abandon()
    for trainer in (disturbed, undisturbed):
        trainer.run(2)
        trainer.apply(1)
    assert equal(disturbed.tensors(), undisturbed.tensors())


def test_parameters_change_with_the_last_batch_of_an_accumulation_or_of_the_epoch():
    trainer = Trainer(optimizer={"accumulate": 3})
    before = trainer.model.parameters()
    changed = []
    for taken in range(5):
        trainer.run(taken)
        trainer.apply(taken, planned=5)
        after = trainer.model.parameters()
        changed.append(not torch.equal(before, after))
        before = after
    assert changed == [False, False, True, False, True]


def test_an_accumulated_gradient_of_another_model_is_refused():
    trainer = Trainer(optimizer={"accumulate": 2})
    trainer.run(1)
    trainer.apply(0)
    state = trainer.model.state()
    state.more["accumulated"]["0"] = torch.zeros(7)
    with pytest.raises(CheckpointError, match="the accumulated gradient 0 does not fit the model"):
        Trainer(optimizer={"accumulate": 2}).model.load_state(state)


def test_clients_evaluate_with_the_averaged_weights():
    trainer = Trainer(ema={"decay": 0.5})
    for step in range(3):
        trainer.run(step)
        trainer.apply(step)
    inputs = torch.randn(2, FEATURES, generator=torch.Generator().manual_seed(0))
    evaluated = trainer.model.evaluated_parameters()
    assert not torch.equal(evaluated, trainer.model.parameters())
    load_vector(floating_tensors(trainer.client_part), evaluated)
    at_client = ClientStep(trainer.task, trainer.client_part, "a").evaluate(inputs)
    assert torch.equal(at_client, trainer.model.smash(inputs))


def test_the_average_of_the_first_step_is_the_network_itself():
    averaged, plain = Trainer(ema={"decay": 0.9}), Trainer()
    for trainer in (averaged, plain):
        trainer.run(1)
        trainer.apply()
    assert equal(averaged.tensors(), plain.tensors())


def test_smashed_data_and_gradients_keep_their_type_in_bfloat16():
    model = {
        "architecture": "exactness.small_job:single_network",
        "options": {"outputs": 3},
        "cutLayer": "act",
    }
    task, network = build_setup(job_spec(model=model, precision={"client": "BFloat16"}), (FEATURES,))
    step = ClientStep(task, network.client_part, "a")
    step.begin(1, 0)
    smashed = step.forward(torch.ones(2, FEATURES))
    assert torch.equal(smashed, smashed.bfloat16().float())
    step.backward(torch.ones_like(smashed))
    assert (smashed.dtype, step.gradient().dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize(("metric", "mode"), [("Loss", "min"), ("AUROC", "max"), ("R2", "max")])
@pytest.mark.parametrize("patience", [0, 1, 3], ids=str)
def test_a_plateau_is_found_where_torch_finds_it(patience, metric, mode):
    schedule = {"name": "ReduceOnPlateau", "patience": patience, "factor": 0.5}
    spec = OptimizerSpec.model_validate({"learningRate": 1.0, "schedule": schedule})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=patience)
    ours, rates = Plateau(), set()
    lowest = -1.0 if metric == "R2" else 0.5
    for value in [*np.random.default_rng(1).uniform(lowest, 1, 20).tolist(), math.nan]:
        torchs.step(value)
        ours.observe(value, metric, spec.schedule)
        rates.add(learning_rate(spec, 1, 1, reductions=ours.reductions))
        assert learning_rate(spec, 1, 1, reductions=ours.reductions) == optimizer.param_groups[0]["lr"]
    assert len(rates) > 2


RIGHT = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.1, 0.0]], dtype=torch.float64)
WRONG = torch.tensor([[9.0, 0.0, 0.0], [0.1, 0.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("spec", "outputs", "reductions"),
    [
        ({}, (RIGHT, WRONG), 0),
        ({"metric": "BalancedAccuracy"}, (RIGHT, WRONG), 1),
        ({"metric": "BalancedAccuracy"}, (WRONG, RIGHT), 0),
    ],
    ids=["the loss", "a metric that falls", "a metric that rises"],
)
def test_a_learning_rate_follows_the_metric_that_is_chosen(spec, outputs, reductions):
    """The loss falls, whatever the outputs are."""
    trainer = Trainer(
        optimizer={"schedule": {"name": "ReduceOnPlateau", "patience": 0}},
        data={"train": {"format": "NumPy", "path": "/a"}, "evaluation": {"format": "NumPy", "path": "/b"}},
        **spec,
    )
    labels = torch.tensor([[0], [1]])
    for evaluated, loss in zip(outputs, (1.0, 0.5), strict=True):
        tally = tally_outputs(trainer.task.objective, evaluated, labels)
        trainer.model.observe_evaluation(Score(2, 2 * loss, None, 2.0, tally))
    assert trainer.model.state().progress["plateau"]["reductions"] == reductions


def test_a_metric_that_the_model_does_not_have_is_refused():
    wide = {
        "architecture": "exactness.small_job:single_network",
        "options": {"outputs": 3},
        "cutLayer": "act",
    }
    with pytest.raises(
        InputError, match=r"spec.metric: is Accuracy, .* with 3 outputs; use one of Loss, LabelA"
    ):
        build_setup(job_spec(model=wide, loss="BinaryCrossEntropy", metric="Accuracy"), (FEATURES,))
    many = {**wide, "options": {"outputs": 101}}
    with pytest.raises(
        InputError, match=r"spec.metric: is AUROC, .* at most 100 classes, but the model has 101"
    ):
        build_setup(job_spec(model=many, metric="AUROC"), (FEATURES,))
    build_setup(job_spec(model=many, metric="MacroF1"), (FEATURES,))
