from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from manifests.jobs import NOW, UID, job
from pslgs.identity.identity import Identity
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificate_authority import (
    AUTHORITY_LIFETIME,
    OVERLAP,
    Authority,
    advanced,
    authority_secret,
    read_authority,
)
from pslgs_operator.certificates import certificate_secret
from pslgs_operator.settings import Settings

DAY = timedelta(days=1)
SETTINGS = Settings(certificate_lifetime=30 * DAY)
SERVER = IssueServer(("digits-server.lab.svc", "10.0.0.1"))
CLIENT = IssueClient("edge-0.x-0")
AUTHORITY = advanced(None, job(), NOW)
HALF = NOW + AUTHORITY_LIFETIME / 2


def stored(authority: Authority, version: str | None = None) -> dict[str, Any]:
    return authority_secret(authority, job(), "pslgs-system", version)


def issued(action: IssueServer | IssueClient, authority: Authority = AUTHORITY, now: datetime = NOW):
    return certificate_secret(job(), authority, action, SETTINGS, now)


def data(secret: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: b64decode(content) for name, content in secret["data"].items()}


def certificate(secret: Mapping[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data(secret)["tls.crt"])


def trusted(secret: Mapping[str, Any]) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(data(secret)["ca.crt"])


def named(secret: Mapping[str, Any]) -> list[str]:
    found = certificate(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in found.value]


class TestIssuing:
    def test_the_server_is_certified_for_all_its_hosts(self):
        assert named(issued(SERVER)) == ["digits-server.lab.svc", "10.0.0.1"]
        assert issued(SERVER)["metadata"]["name"] == "digits-server-tls"

    def test_a_client_is_certified_by_its_id(self):
        secret = issued(CLIENT)
        assert named(secret) == ["edge-0.x-0"]
        assert secret["metadata"]["name"] == names.client_identity_name("digits", "edge-0.x-0")
        assert secret["metadata"]["annotations"][names.CLIENT_ANNOTATION] == "edge-0.x-0"

    @pytest.mark.parametrize("action", [SERVER, CLIENT], ids=["server", "client"])
    def test_a_secret_holds_the_files_that_the_containers_read(self, action, tmp_path):
        for name, content in data(issued(action)).items():
            (tmp_path / name).write_bytes(content)
        assert Identity.load(tmp_path).expires_at == NOW + 30 * DAY

    @pytest.mark.parametrize("action", [SERVER, CLIENT], ids=["server", "client"])
    def test_a_secret_goes_with_its_job_and_says_when_it_ends_and_is_renewed(self, action):
        metadata = issued(action)["metadata"]
        assert metadata["namespace"] == "lab"
        assert metadata["labels"][names.JOB_LABEL] == "digits"
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [UID]
        assert metadata["annotations"][names.EXPIRY_ANNOTATION] == "2026-02-01T03:04:05Z"
        assert metadata["annotations"][names.RENEW_ANNOTATION] == "2026-01-22T03:04:05Z"
        assert metadata["annotations"][names.AUTHORITY_ANNOTATION] == AUTHORITY.digest

    def test_a_certificate_that_ends_with_its_authority_is_renewed_before_and_not_at_once(self):
        long = Settings(certificate_lifetime=2 * AUTHORITY_LIFETIME)
        secret = certificate_secret(job(), AUTHORITY, CLIENT, long, NOW)
        renewed = datetime.fromisoformat(secret["metadata"]["annotations"][names.RENEW_ANNOTATION])
        assert NOW < renewed < certificate(secret).not_valid_after_utc == AUTHORITY.current.expires_at


class TestTheAuthority:
    def test_is_kept_in_the_namespace_of_the_operator_with_the_job_in_its_metadata(self):
        metadata = stored(AUTHORITY)["metadata"]
        assert metadata["namespace"] == "pslgs-system"
        assert metadata["name"] == f"pslgs-ca-{UID}"
        assert metadata["labels"][names.AUTHORITY_LABEL] == UID
        assert names.JOB_LABEL not in metadata["labels"]
        assert metadata["annotations"][names.JOB_NAMESPACE_ANNOTATION] == "lab"
        assert metadata["annotations"][names.JOB_NAME_ANNOTATION] == "digits"
        assert "ownerReferences" not in metadata

    def test_no_secret_of_a_certificate_holds_its_key(self):
        (key,) = (content for name, content in data(stored(AUTHORITY)).items() if name == "tls.key")
        assert key == AUTHORITY.current.private_key_pem
        for action in (SERVER, CLIENT):
            assert key not in b"".join(data(issued(action)).values())

    @pytest.mark.parametrize("steps", [0, 1, 2], ids=["new", "with a successor", "replaced"])
    def test_is_read_as_it_was_stored(self, steps):
        authority, now = AUTHORITY, NOW
        for now in (HALF, HALF + OVERLAP)[:steps]:
            authority = advanced(authority, job(), now)
        assert read_authority(stored(authority, "5"), now) == authority
        assert stored(authority, "5")["metadata"]["resourceVersion"] == "5"

    @pytest.mark.parametrize(
        ("secret", "now"),
        [
            pytest.param(None, NOW, id="gone"),
            pytest.param({"data": {}}, NOW, id="empty"),
            pytest.param({"data": {"tls.key": None}}, NOW, id="no-key"),
            pytest.param({"data": {"tls.crt": b64encode(b"x").decode()}}, NOW, id="no-certificate"),
            pytest.param({"data": {"tls.key": b64encode(b"x").decode()}}, NOW, id="garbled-key"),
            pytest.param({"data": {"tls.key": issued(SERVER)["data"]["tls.key"]}}, NOW, id="anothers-key"),
            pytest.param({"data": {}}, NOW + AUTHORITY_LIFETIME + DAY, id="expired"),
        ],
    )
    def test_that_is_damaged_is_made_anew(self, secret, now):
        whole = stored(AUTHORITY)
        damaged = secret
        if secret is not None and secret["data"]:
            merged = whole["data"] | secret["data"]
            damaged = {**whole, "data": {name: value for name, value in merged.items() if value is not None}}
        assert read_authority(damaged, now) is None
        assert advanced(None, job(), now).current != AUTHORITY.current

    def test_is_trusted_before_it_issues_and_after_its_successor_does(self):
        announced = advanced(AUTHORITY, job(), HALF)
        assert advanced(AUTHORITY, job(), HALF - timedelta(seconds=1)) is AUTHORITY
        assert announced.current == AUTHORITY.current
        assert advanced(announced, job(), HALF + OVERLAP - timedelta(seconds=1)) is announced
        taken_over = advanced(announced, job(), HALF + OVERLAP)
        assert taken_over.current == announced.successor
        assert len({each.digest for each in (AUTHORITY, announced, taken_over)}) == 3
        before, during, after = (
            issued(SERVER, authority, HALF) for authority in (AUTHORITY, announced, taken_over)
        )
        for old, new in ((before, during), (during, after), (during, during), (after, after)):
            for one, other in ((old, new), (new, old)):
                assert certificate(one).issuer in {each.subject for each in trusted(other)}
                assert signed_by(certificate(one), trusted(other))

    def test_does_not_trust_a_former_one_that_has_expired(self):
        authority, now = AUTHORITY, NOW
        for _ in range(4):
            now = authority.renew_after
            authority = advanced(authority, job(), now)
        assert now > AUTHORITY.current.expires_at
        assert AUTHORITY.current.certificate_pem not in authority.bundle


def signed_by(one: x509.Certificate, authorities: list[x509.Certificate]) -> bool:
    return any(_is_issuer(one, each) for each in authorities)


def _is_issuer(one: x509.Certificate, authority: x509.Certificate) -> bool:
    identifier = one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    subject = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return identifier == subject
