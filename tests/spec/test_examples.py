"""The examples hold together: what a pod template lays over a pod fits the pod that is generated."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pslgs.spec import SplitTrainingJob, load_job
from pslgs.spec.data import DataFormat

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.yaml"))
OF_FILES = {DataFormat.PARQUET, DataFormat.NUMPY, DataFormat.IMAGE_FOLDER}

every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def overlays(job: SplitTrainingJob) -> dict[str, Any]:
    parts = {"server": job.spec.server, "client": job.spec.clients}
    return {name: part.model_dump(mode="json")["template"]["spec"] for name, part in parts.items()}


def mounts(job: SplitTrainingJob, part: str) -> dict[str, str]:
    """Where the volumes of a part are mounted, by their names."""
    containers = overlays(job)[part].get("containers", ())
    return {
        mount["name"]: mount["mountPath"] for each in containers for mount in each.get("volumeMounts", ())
    }


@every_example
def test_it_is_called_as_its_file(path):
    assert load_job(path).metadata.name == path.stem


@every_example
def test_it_names_the_nodes_that_hold_data(path):
    assert load_job(path).spec.clients.node_selector


@every_example
def test_its_templates_lay_over_the_containers_that_there_are(path):
    for part, overlay in overlays(load_job(path)).items():
        assert [each["name"] for each in overlay.get("containers", ())] in ([], [part])


@every_example
@pytest.mark.parametrize("part", ["server", "client"])
def test_its_volumes_are_mounted_and_its_mounts_have_volumes(path, part):
    job = load_job(path)
    volumes = [volume["name"] for volume in overlays(job)[part].get("volumes", ())]
    assert sorted(mounts(job, part)) == sorted(volumes)


@every_example
def test_data_in_files_lie_in_a_volume(path):
    job = load_job(path)
    sources = [("client", job.spec.data.train)]
    if (evaluation := job.spec.data.evaluation) is not None:
        sources.append(("server" if evaluation.at == "Server" else "client", evaluation))
    for part, source in sources:
        if source.format in OF_FILES:
            inside = str(Path("/workspace", source.path or ""))
            assert any(inside.startswith(mount + "/") for mount in mounts(job, part).values()), inside


@every_example
def test_two_nodes_have_the_clients_of_its_partition(path):
    spec = load_job(path).spec
    if spec.data.partition:
        assert spec.data.partition.clients == 2 * spec.clients.per_node


@every_example
def test_its_lines_are_no_longer_than_a_screen(path):
    assert [line for line in path.read_text().splitlines() if len(line) > 120] == []


@every_example
def test_it_is_one_document(path):
    assert len(list(yaml.safe_load_all(path.read_text()))) == 1
