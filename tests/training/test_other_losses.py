"""Jobs without classes, and with two, from the manifest to the trained model."""

import pytest
import torch

from pslgs.coordination.settings import settings_from
from pslgs.data.loading import open_all_training_data, open_evaluation_data
from pslgs.simulation.setup import VirtualClient
from pslgs.spec import parse_job
from pslgs.training.dataset_check import check_dataset
from pslgs.training.evaluation import score_samples
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import build_setup
from training.in_process import InProcessTraining


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "dataset", "inputs"),
    [("MeanSquaredError", "diabetes", 10), ("BinaryCrossEntropy", "breast_cancer", 30)],
    ids=["regression", "two classes"],
)
def test_the_loss_falls(tmp_path, loss, dataset, inputs):
    source = {"format": "ScikitLearn", "name": dataset}
    spec = parse_job(
        {
            "apiVersion": "pslgs.dev/v1alpha1",
            "kind": "SplitTrainingJob",
            "metadata": {"name": "losses"},
            "spec": {
                "model": {
                    "architecture": "mlp",
                    "options": {"inputs": inputs, "hidden": [16, 8], "outputs": 1, "dropout": 0.1},
                    "cutLayer": "hidden1",
                },
                "data": {
                    "train": source | {"split": "Train"},
                    "evaluation": source,
                    "partition": {"scheme": "IID", "clients": 3},
                },
                "loss": loss,
                "epochs": 5,
                "optimizer": {"name": "Adam", "learningRate": 0.02},
                "sampling": {"globalBatchSize": 32},
            },
        }
    ).spec
    names = ["a", "b", "c"]
    opened = open_all_training_data(spec.data, names, seed=0, cache=tmp_path)
    task, network = build_setup(spec, (inputs,))
    evaluation = open_evaluation_data(spec.data, cache=tmp_path)
    model = LocalServerModel(task, network, torch.device("cpu"))
    for data in (*opened, evaluation):
        check_dataset(task, data, "spec.data")
    before = score_samples(model, task.objective, evaluation, 0, evaluation.samples)
    clients = {name: VirtualClient(data) for name, data in zip(names, opened, strict=True)}
    settings = settings_from(
        spec.model_copy(update={"data": spec.data.model_copy(update={"evaluation": None})}), 3
    )
    InProcessTraining(task, network, settings, clients).run()
    after = score_samples(model, task.objective, evaluation, 0, evaluation.samples)
    assert after.loss < before.loss
    assert (after.accuracy is None) == (loss == "MeanSquaredError")
