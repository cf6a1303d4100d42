from base64 import b64decode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from manifests.jobs import NOW, UID, job
from pslgs.identity.identity import Identity
from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificates import AUTHORITY_LIFETIME, issue_client, issue_server

EXPIRES = NOW + timedelta(days=30)
SERVER = IssueServer(("digits-server.lab.svc", "10.0.0.1"), EXPIRES)
CLIENT = IssueClient("edge-0.x-0", EXPIRES)


def data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: b64decode(content) for name, content in secret["data"].items()}


def certificate(secret: Mapping[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data(secret)["tls.crt"])


def named(secret: Mapping[str, Any]) -> list[str]:
    found = certificate(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in found.value]


AUTHORITY, SERVERS = issue_server(job(), None, SERVER, NOW)


def test_the_first_certificate_of_a_server_comes_with_an_authority_of_ten_years():
    assert AUTHORITY["metadata"]["name"] == "digits-ca"
    assert certificate(AUTHORITY).not_valid_after_utc == NOW + AUTHORITY_LIFETIME
    assert SERVERS["metadata"]["name"] == "digits-server-tls"
    assert data(SERVERS)["ca.crt"] == data(AUTHORITY)["tls.crt"]


def test_later_ones_are_of_the_same_authority():
    (renewed,) = issue_server(job(), data(AUTHORITY), SERVER, NOW)
    assert data(renewed)["ca.crt"] == data(AUTHORITY)["tls.crt"]
    assert data(renewed)["tls.crt"] != data(SERVERS)["tls.crt"]


def test_the_server_is_certified_for_all_its_hosts_until_the_planned_end():
    assert named(SERVERS) == ["digits-server.lab.svc", "10.0.0.1"]
    assert certificate(SERVERS).not_valid_after_utc == EXPIRES


def test_a_client_is_certified_by_its_id():
    secret = issue_client(job(), data(AUTHORITY), CLIENT, NOW)
    assert named(secret) == ["edge-0.x-0"]
    assert certificate(secret).not_valid_after_utc == EXPIRES
    assert secret["metadata"]["name"] == names.client_identity_name("digits", "edge-0.x-0")
    assert secret["metadata"]["annotations"][names.CLIENT_ANNOTATION] == "edge-0.x-0"


@pytest.mark.parametrize(
    "secret", [SERVERS, issue_client(job(), data(AUTHORITY), CLIENT, NOW)], ids=["server", "client"]
)
def test_a_secret_holds_the_files_that_the_containers_read(secret, tmp_path):
    for name, content in data(secret).items():
        (tmp_path / name).write_bytes(content)
    assert Identity.load(tmp_path).expires_at == EXPIRES


@pytest.mark.parametrize("secret", [AUTHORITY, SERVERS], ids=["authority", "server"])
def test_a_secret_goes_with_its_job(secret):
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["metadata"]["labels"][names.JOB_LABEL] == "digits"
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [UID]


DAMAGED = [
    pytest.param(None, NOW, id="gone"),
    pytest.param({}, NOW, id="empty"),
    pytest.param({"tls.crt": data(AUTHORITY)["tls.crt"]}, NOW, id="no-key"),
    pytest.param(data(AUTHORITY) | {"tls.crt": b"x"}, NOW, id="no-certificate"),
    pytest.param(data(AUTHORITY) | {"tls.key": b"x"}, NOW, id="garbled-key"),
    pytest.param(data(AUTHORITY) | {"tls.key": data(SERVERS)["tls.key"]}, NOW, id="anothers-key"),
    pytest.param(data(AUTHORITY), NOW + timedelta(days=3651), id="expired"),
]


@pytest.mark.parametrize(("stored", "now"), DAMAGED)
def test_a_server_gets_a_new_authority_where_there_is_no_sound_one(stored, now):
    secrets = issue_server(job(), stored, IssueServer(("h",), now + timedelta(days=1)), now)
    assert [secret["metadata"]["name"] for secret in secrets] == ["digits-ca", "digits-server-tls"]


@pytest.mark.parametrize(("stored", "now"), DAMAGED)
def test_a_client_gets_none_since_the_server_would_not_trust_it(stored, now):
    with pytest.raises(InputError, match=r"Secret digits-ca .* set spec\.suspend to true and back to false"):
        issue_client(job(), stored, CLIENT, now)
