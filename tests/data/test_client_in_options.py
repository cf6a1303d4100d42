"""``{client}`` in the options of a Custom dataset means the same in run, simulate, compare and a cluster."""

from pathlib import Path
from typing import NoReturn

import pytest
import torch
from typer.testing import CliRunner

from pslgs.cli.main import app
from pslgs.client.main import ClientOptions, _open_data
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import for_client, open_all_training_data
from pslgs.launch.data_check import check_data
from pslgs.launch.local_clients import LocalClient, local_clients, local_sites
from pslgs.simulation.job_variants import job_variant
from pslgs.simulation.setup import build_simulation_setup
from pslgs.spec import InputError, SplitTrainingJob, parse_job
from pslgs.spec.data import DataFormat, DataSource

WIDTH = 200
ENTRYPOINT = "data.test_client_in_options:dataset"


class Letters:
    """Four samples that tell which ``root`` they were opened with."""

    def __init__(self, root: str) -> None:
        self.labels = [0, 1, 0, 1]
        self._root = root

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        codes = [*map(ord, self._root)]
        return torch.tensor([*codes, *[0] * (WIDTH - len(codes))], dtype=torch.float32), self.labels[index]


def dataset(sources: list[dict[str, str]]) -> Letters:
    return Letters(sources[0]["root"])


def root_of(opened: ClientDataset) -> str:
    return "".join(chr(int(code)) for code in opened.decode(None, 0, 1, lambda: False)[0] if code)


def job(root: str, **data) -> SplitTrainingJob:
    train = {"format": "Custom", "entrypoint": ENTRYPOINT, "options": {"sources": [{"root": root}]}}
    model = {"architecture": "mlp", "cutLayer": "hidden1"}
    model["options"] = {"inputs": WIDTH, "hidden": [2], "outputs": 2}
    spec = {"model": model, "data": {"train": train, **data}, "epochs": 1, "sampling": {"globalBatchSize": 4}}
    header = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "metadata": {"name": "roots"}}
    return parse_job(header | {"spec": spec})


def opened_by_clients(job: SplitTrainingJob, clients: list[str], cache: Path) -> list[str]:
    options = [ClientOptions(name, "", None, cache, cores=1) for name in clients]
    return [root_of(_open_data(job.spec, each, lambda: False)[0]) for each in options]


def opened_by_a_simulation(job: SplitTrainingJob, clients: list[str], cache: Path) -> list[str]:
    setup = build_simulation_setup(job.spec, clients, cache, evaluated=True)
    return [root_of(each.training) for each in setup.clients.values()]


def opened_together(job: SplitTrainingJob, clients: list[str], cache: Path) -> list[str]:
    opened = open_all_training_data(job.spec.data, clients, seed=0, cache=cache)
    return [root_of(each) for each in opened]


@pytest.mark.parametrize(
    "opened", [opened_by_clients, opened_by_a_simulation, opened_together], ids=lambda each: each.__name__
)
def test_every_client_opens_its_own_data_whoever_opens_them(opened, tmp_path):
    for name in ("Berlin", "oslo"):
        (tmp_path / name).mkdir()
    manifest = job(f"{tmp_path}/{{client}}/scans")
    found = [each.client_id for each in local_clients(manifest.spec, None)]
    assert found == ["berlin", "oslo"]
    assert dict(local_sites(manifest.spec).renamed) == {"berlin": "Berlin"}
    expected = [f"{tmp_path}/Berlin/scans", f"{tmp_path}/oslo/scans"]
    assert opened(manifest, found, tmp_path / "cache") == expected
    assert opened(manifest, ["edge-0"], tmp_path / "cache") == [f"{tmp_path}/edge-0/scans"]


class Silent:
    """Shows nothing."""

    def begin(self, dataset: object) -> None: ...

    def show(self, checked: int, total: int) -> None: ...


def test_a_check_reads_the_data_of_each_client(tmp_path, monkeypatch):
    opened: list[str] = []

    def noted(self, root: str) -> None:
        opened.append(root)
        self.labels, self._root = [0, 1, 0, 1], root

    import data.test_client_in_options as imported  # noqa: PLC0415 - as the entrypoint names it

    monkeypatch.setattr(imported.Letters, "__init__", noted)
    manifest = job("db/{client}")
    clients = local_clients(manifest.spec, 2)
    assert clients == [LocalClient("client-0"), LocalClient("client-1")]
    found = check_data(manifest.spec, clients, tmp_path, 1, Silent())
    assert [(each.client, each.problems) for each in found] == [("client-0", []), ("client-1", [])]
    assert opened == ["db/client-0", "db/client-1"]


@pytest.mark.parametrize(
    ("command", "runs"),
    [
        pytest.param("simulate", "pslgs.simulation.api.run_simulation", id="simulate"),
        pytest.param("compare", "pslgs.comparison.api.compare", id="compare"),
    ],
)
def test_simulated_clients_have_the_names_of_those_that_run(command, runs, tmp_path, monkeypatch):
    for name in ("Berlin", "oslo"):
        (tmp_path / "sites" / name).mkdir(parents=True)
    manifest = job(f"{tmp_path}/sites/{{client}}")
    (tmp_path / "job.yaml").write_text(manifest.model_dump_json(by_alias=True, exclude_defaults=True))
    given: list[object] = []

    def run(*arguments: object, client_ids: object = None, **_others: object) -> NoReturn:
        given.append(client_ids or arguments[0].options.client_ids)
        raise InputError.at("", "enough")

    monkeypatch.setattr(runs, run)
    arguments = [command, f"{tmp_path}/job.yaml", "--schedule-only", "--output", f"{tmp_path}/compared"]
    result = CliRunner().invoke(app, arguments)
    assert "enough" in result.stderr
    assert given == [["berlin", "oslo"]]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("{client}", "site-2", id="the-name-itself"),
        pytest.param("of {client}, {client}", "of site-2, site-2", id="twice-in-a-text"),
        pytest.param("nothing/{client}", "nothing/site-2", id="a-path-to-nothing"),
        pytest.param("{folder}/{client}", "{folder}/Site_2", id="a-path-to-a-folder-of-another-name"),
        pytest.param({"a": ["{client}", 3, None]}, {"a": ["site-2", 3, None]}, id="at-any-depth"),
        pytest.param({"{client}": True}, {"{client}": True}, id="not-a-name-of-an-option"),
        pytest.param("{user}", "{user}", id="other-braces"),
    ],
)
def test_the_placeholder_is_replaced_in_texts(written, meant, tmp_path, monkeypatch):
    (tmp_path / "Site_2").mkdir()
    monkeypatch.chdir(tmp_path)  # where a name without a slash is still no path

    def placed(value: object) -> object:
        return value.replace("{folder}", str(tmp_path)) if isinstance(value, str) else value

    source = DataSource(format=DataFormat.CUSTOM, entrypoint="a:b", options={"given": placed(written)})
    assert for_client(source, "site-2").options == {"given": placed(meant)}


@pytest.mark.parametrize(
    ("clients", "problem"),
    [
        pytest.param(None, r"options: hold \{client\}, but no path .*--clients N", id="no-number"),
        pytest.param(3, None, id="a-number"),
    ],
)
def test_clients_that_no_path_names_are_numbered(clients, problem):
    spec = job("{client}").spec
    if problem is None:
        assert [each.client_id for each in local_clients(spec, clients)] == [
            "client-0",
            "client-1",
            "client-2",
        ]
        return
    with pytest.raises(InputError, match=problem):
        local_clients(spec, clients)


def test_more_clients_than_there_are_folders_are_refused(tmp_path):
    (tmp_path / "oslo").mkdir()
    with pytest.raises(
        InputError, match=r"^spec\.data\.train\.options: leads to the data of 1 clients, not of 2"
    ):
        local_clients(job(f"{tmp_path}/{{client}}").spec, 2)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(
            {"partition": {"scheme": "IID", "clients": 2}},
            r"spec\.data\.partition: .* data\.train\.options differs by \{client\}",
            id="partition",
        ),
        pytest.param(
            {
                "evaluation": {
                    "format": "Custom",
                    "entrypoint": ENTRYPOINT,
                    "options": {"sources": [{"root": "x/{client}"}]},
                }
            },
            r"spec\.data\.evaluation\.options: holds \{client\}, but the server reads the data",
            id="evaluation-at-the-server",
        ),
    ],
)
def test_data_that_differ_by_client_are_neither_divided_nor_read_by_the_server(data, problem):
    with pytest.raises(InputError, match=problem):
        job("x/{client}", **data)


def test_a_baseline_that_pools_data_names_the_field_with_the_placeholder():
    with pytest.raises(InputError, match=r"or take \{client\} out of data\.train\.options"):
        job_variant(job("x/{client}"), clients=2)
