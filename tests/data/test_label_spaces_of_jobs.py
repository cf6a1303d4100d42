"""A job numbers its classes alike in `pslgs run`, in a simulation and in the pods of a cluster."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.test_label_space import (
    CLASSES,
    inputs,
    names_of,
    true_names,
    write_class_labels,
    write_csv,
    write_dictionary,
    write_folder,
    write_strings,
    write_text,
)
from hypothesis_profiles import scaled
from pslgs.client.main import ClientOptions, _open_data
from pslgs.data.client_dataset import ClientDataset
from pslgs.launch.local_clients import local_clients
from pslgs.simulation.setup import build_simulation_setup
from pslgs.spec import InputError, JobSpec, job_digest, parse_job

SITES = ("Berlin_1", "oslo", "rome")
CLIENTS = ("berlin-1", "oslo", "rome")
TEXT_WRITERS = (write_folder, write_text, write_class_labels, write_strings, write_dictionary, write_csv)


def write_numbers(path, labels):
    """Write class numbers without names, which are positions in the names of the manifest."""
    np.savez(path.with_suffix(".npz"), x=inputs(labels), y=np.array(labels))
    return {"format": "NumPy", "path": str(path.with_suffix(".npz"))}


def job(train: dict, classes: list[str] | None, values: int) -> JobSpec:
    options = {"inputs": values, "hidden": [2], "outputs": len(CLASSES)}
    data = {"train": train, "evaluation": train | {"at": "Clients"}}
    spec = {
        "model": {"architecture": "mlp", "options": options, "cutLayer": "hidden1"},
        "data": data if classes is None else data | {"classes": classes},
        "epochs": 1,
        "sampling": {"globalBatchSize": 1},
    }
    header = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "metadata": {"name": "labels"}}
    return parse_job(header | {"spec": spec}).spec


def opened(spec: JobSpec, client: str, cache: Path) -> tuple[ClientDataset, ClientDataset]:
    """Open training and evaluation data as a client's process does."""
    training, evaluation = _open_data(spec, ClientOptions(client, "", None, cache, 1), lambda: False)
    assert evaluation is not None
    return training, evaluation


def said(data: ClientDataset) -> tuple[object, list[object]]:
    return data.class_names, data.labels.tolist()


def admitted(names: list[tuple[str, ...]], declared: tuple[str, ...] | None) -> bool:
    """Return whether a server admits clients with these names of classes to one job."""
    return set(names) == {declared} if declared is not None else len(set(names)) == 1


layouts = st.lists(st.lists(st.sampled_from(range(3)), min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=scaled(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    write=st.sampled_from((*TEXT_WRITERS, write_numbers)),
    sites=layouts,
    order=st.one_of(st.none(), st.permutations(CLASSES)),
)
def test_run_simulation_and_cluster_read_the_same_numbers(write, sites, order, tmp_path_factory):
    if write is write_numbers:
        order = list(CLASSES)
    root = tmp_path_factory.mktemp("sites")
    sources = [write(root / site, labels) for site, labels in zip(SITES, sites, strict=False)]
    pattern = sources[0] | {"path": sources[0]["path"].replace(SITES[0], "{client}")}
    values = 3 * 2 * 2 if write is write_folder else 1
    spec = job(pattern, order, values)

    clients = [each.client_id for each in local_clients(spec, None)]
    assert clients == list(CLIENTS[: len(sites)])
    ran = [opened(spec, client, root / "cache") for client in clients]

    for number, (source, own) in enumerate(zip(sources, ran, strict=True)):
        mounted = job(source, order, values)  # in a pod, where a volume of the node has the same path
        assert job_digest(mounted) == job_digest(spec)
        in_pod = opened(mounted, f"edge-{number}-0", root / "cache")
        assert [*map(said, in_pod)] == [*map(said, own)]
        for data in own:
            assert data.input_shape is not None
            assert math.prod(data.input_shape) == values
            assert names_of(data) == true_names(write, sites[number])

    stated = [training.class_names for training, _ in ran]
    if not admitted(stated, None if order is None else tuple(order)):
        with pytest.raises(InputError, match=r"^spec\.data\.classes: is missing, and clients have different"):
            build_simulation_setup(spec, clients, root / "cache", evaluated=True)
        return
    simulated = build_simulation_setup(spec, clients, root / "cache", evaluated=True).clients
    assert {name: (said(each.training), said(each.evaluation)) for name, each in simulated.items()} == {
        name: (said(training), said(evaluation))
        for name, (training, evaluation) in zip(clients, ran, strict=True)
    }
