import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manifests.jobs import job
from pslgs_operator import names

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
NODES = st.lists(LABEL, min_size=1, max_size=6).map(".".join).filter(lambda name: len(name) <= 251)
CLIENTS = st.builds(names.client_id, NODES, st.integers(0, 99))


@given(job_name=LABEL, client=CLIENTS)
def test_the_job_of_a_client_is_called_by_a_dns_label(job_name, client):
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", names.client_name(job_name, client))


@given(job_name=LABEL, one=CLIENTS, other=CLIENTS)
def test_two_clients_never_have_one_name(job_name, one, other):
    assume(one != other)
    assert names.client_name(job_name, one) != names.client_name(job_name, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("a.b-0", "a-b-0", id="dots"),
        pytest.param("n" * 90 + "-0", "n" * 90 + "-1", id="long"),
    ],
)
def test_nodes_that_differ_only_where_names_are_cut_have_clients_of_their_own(one, other):
    assert names.client_name("digits", one) != names.client_name("digits", other)


@given(job_name=LABEL)
def test_all_other_children_have_names_of_their_own_too(job_name):
    made = [
        names.server_name(job_name),
        names.clients_name(job_name),
        names.manifest_name(job_name),
        names.checkpoints_name(job_name),
        names.former_authority_name(job_name),
        names.server_identity_name(job_name),
    ]
    assert len(set(made)) == len(made)
    assert max(map(len, made)) <= 63


def test_the_digest_is_of_what_the_user_wrote_and_not_of_defaults():
    assert job(loss="CrossEntropy").spec_digest == job().spec_digest
    assert job(epochs=4).spec_digest != job().spec_digest


def test_the_digest_of_an_unknown_field_is_that_of_an_operator_that_knows_it() -> None:
    known = job(optimizer={"momentum": 0.5})
    older = replace(job(), unknown_fields={("spec", "optimizer", "momentum"): 0.5})
    assert older.spec_digest == known.spec_digest != job().spec_digest
