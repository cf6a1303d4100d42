"""Names of files and folders at the place of {client} become client ids, or are refused by name."""

from pathlib import Path

import pytest

from pslgs.data.client_paths import client_id_of, find_sites, path_of_client
from pslgs.data.left_out import counts_by_reason
from pslgs.identity.identity import is_dns_name
from pslgs.spec.errors import InputError

FIELD = "spec.data.train.path"
FILES = ("site-1.npz", "Site-2.npz", "site_3.npz", "Klinik-4.npz", "hospital 5.npz")


@pytest.fixture
def data(tmp_path) -> Path:
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


def sites_of(data: Path, part: str = "{client}.npz"):
    return find_sites(f"{data}/{part}", FIELD)


def test_every_name_that_can_be_a_client_id_is_one(data):
    sites = sites_of(data)
    assert [*sites.names] == ["hospital-5", "klinik-4", "site-1", "site-2", "site-3"]
    assert dict(sites.renamed) == {
        "hospital-5": "hospital 5",
        "klinik-4": "Klinik-4",
        "site-2": "Site-2",
        "site-3": "site_3",
    }
    assert all(map(is_dns_name, sites.names))


def test_a_client_id_leads_back_to_its_name(data):
    for client, name in sites_of(data).names.items():
        assert path_of_client(f"{data}/{{client}}.npz", client) == f"{data}/{name}.npz"


def test_the_id_itself_goes_before_a_name_that_stands_for_it(data):
    (data / "site-2.npz").touch()
    assert path_of_client(f"{data}/{{client}}.npz", "site-2") == f"{data}/site-2.npz"


def test_a_path_of_an_unknown_client_holds_its_id(data):
    assert path_of_client(f"{data}/{{client}}.npz", "node-0") == f"{data}/node-0.npz"
    assert path_of_client("/nowhere/{client}/x", "node-0") == "/nowhere/node-0/x"
    assert path_of_client("/data/train.npz", "node-0") == "/data/train.npz"


def test_two_names_of_one_client_are_refused(data):
    (data / "SITE 3.npz").touch()
    with pytest.raises(InputError, match=r"'SITE 3', 'site_3' in .* all the client 'site-3'; rename one"):
        sites_of(data)


@pytest.mark.parametrize("name", ["Zürich", "病院", "site_", "a+b", "a&b", "(1)"], ids=str)
def test_names_that_cannot_be_client_ids_are_refused(name, data):
    (data / f"{name}.npz").touch()
    (data / "Genève.npz").touch()
    with pytest.raises(InputError) as refusal:
        sites_of(data)
    assert f"'{name}'" in str(refusal.value)
    assert "'Genève'" in str(refusal.value)
    assert "letters a-z, digits" in str(refusal.value)


def test_capitals_and_normal_forms_of_the_fixed_part_make_no_difference(tmp_path):
    decomposed = "Praxis Zu\u0308rich "
    (tmp_path / f"{decomposed}A.NPZ").touch()
    sites = find_sites(f"{tmp_path}/praxis z\u00fcrich {{client}}.npz", FIELD)
    assert dict(sites.names) == {"a": "A"}
    path = path_of_client(f"{tmp_path}/praxis z\u00fcrich {{client}}.npz", "a")
    assert path == f"{tmp_path}/{decomposed}A.NPZ"


def test_system_files_and_files_between_folders_are_counted(tmp_path):
    for name in (".DS_Store", "Thumbs.db", "README.md"):
        (tmp_path / name).touch()
    for name in ("North", "__MACOSX", ".git"):
        (tmp_path / name / "train").mkdir(parents=True)
    sites = sites_of(tmp_path, "{client}/train")
    assert [*sites.names] == ["north"]
    assert counts_by_reason(sites.left_out) == {"hidden": 2, "system": 2, "not_a_folder": 1}
    assert path_of_client(f"{tmp_path}/{{client}}/train", "north") == f"{tmp_path}/North/train"


def test_the_placeholder_may_stand_twice(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "A.npz").touch()
    assert path_of_client(f"{tmp_path}/{{client}}/{{client}}.npz", "a") == f"{tmp_path}/A/A.npz"


@pytest.fixture
def parts(tmp_path) -> Path:
    """Return a folder with several files of each site."""
    for name in (
        "Site_1-0.parquet",
        "Site_1-1.parquet",
        "site-2-0.parquet",
        ".site-3-0.parquet",
        "notes.txt",
    ):
        (tmp_path / name).touch()
    return tmp_path


def wild_sites_of(data: Path, part: str):
    return find_sites(f"{data}/{part}", FIELD, wildcards=True)


@pytest.mark.parametrize("part", ["{client}-*.parquet", "{client}-?.parquet", "{client}-[0-9].parquet"])
def test_several_files_of_one_site_are_found_by_a_wildcard(part, parts):
    sites = wild_sites_of(parts, part)
    assert dict(sites.names) == {"site-1": "Site_1", "site-2": "site-2"}
    assert counts_by_reason(sites.left_out) == {"hidden": 1}
    assert path_of_client(f"{parts}/{part}", "site-1") == f"{parts}/{part.replace('{client}', 'Site_1')}"
    assert path_of_client(f"{parts}/{part}", "site-2") == f"{parts}/{part.replace('{client}', 'site-2')}"


@pytest.mark.parametrize("part", ["{client}/*.parquet", "20??/{client}.parquet", "20*/{client}/x-*.parquet"])
def test_wildcards_may_stand_in_folders(part, tmp_path):
    for year in ("2024", "2025"):
        (tmp_path / year / "a").mkdir(parents=True)
        (tmp_path / year / "a.parquet").touch()
    (tmp_path / "a").mkdir()
    sites = wild_sites_of(tmp_path, part)
    assert "a" in sites.names
    assert path_of_client(f"{tmp_path}/{part}", "a") == f"{tmp_path}/{part.replace('{client}', 'a')}"


def test_a_wildcard_stands_for_as_little_as_possible(tmp_path):
    for name in ("edge-1-0-part-0.csv", "edge-1-0-part-1.csv", "edge-2-0-part-0.csv"):
        (tmp_path / name).touch()
    assert [*wild_sites_of(tmp_path, "{client}-part-*.csv").names] == ["edge-1-0", "edge-2-0"]
    assert [*wild_sites_of(tmp_path, "{client}-*.csv").names] == ["edge-1-0-part", "edge-2-0-part"]


def test_a_file_that_a_wildcard_leads_to_for_several_sites_is_refused(tmp_path):
    for name in ("a-0.parquet", "a-1-0.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a-1-0.parquet' for several clients \('a', 'a-1'\)"):
        wild_sites_of(tmp_path, "{client}-*.parquet")


def test_two_names_of_one_client_are_refused_beside_wildcards_as_well(parts):
    (parts / "site 1-7.parquet").touch()
    with pytest.raises(InputError, match=r"'Site_1', 'site 1' in .* rename one"):
        wild_sites_of(parts, "{client}-*.parquet")


def test_wildcards_are_letters_for_formats_without_them(tmp_path):
    (tmp_path / "A[1].npz").touch()
    assert [*sites_of(tmp_path, "{client}[1].npz").names] == ["a"]
    assert path_of_client(f"{tmp_path}/{{client}}[1].npz", "a") == f"{tmp_path}/A[1].npz"


def test_ids_do_not_depend_on_the_normal_form():
    assert client_id_of("Zu\u0308rich") == client_id_of("Z\u00fcrich")
