"""Certificates say what their holder may do, under which names and until when."""

from datetime import datetime, timedelta, timezone
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from pslgs.identity.authority import CLOCK_SKEW, CertificateAuthority
from pslgs.identity.identity import Identity, is_dns_name
from pslgs.spec.errors import InputError

YEAR = timedelta(days=365)
DAY = timedelta(days=1)


def certificate(identity: Identity | CertificateAuthority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate_pem)


def names(identity: Identity) -> x509.SubjectAlternativeName:
    return certificate(identity).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def purposes(identity: Identity) -> list[x509.ObjectIdentifier]:
    return list(certificate(identity).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_the_authority_may_sign_certificates_but_no_further_authorities(authority):
    extensions = certificate(authority).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_a_leaf_may_sign_nothing_but_its_handshake(authority, now):
    extensions = certificate(authority.issue_client("edge-1-0", now, DAY)).extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert usage.digital_signature
    assert not usage.key_cert_sign


def test_a_clients_id_is_its_only_name(authority, now):
    identity = authority.issue_client("edge-1.example-0", now, DAY)
    assert list(names(identity)) == [x509.DNSName("edge-1.example-0")]
    assert purposes(identity) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_an_id_longer_than_a_common_name_is_kept_whole(authority, now):
    client_id = "n" * 200 + "-0"
    identity = authority.issue_client(client_id, now, DAY)
    assert names(identity).get_values_for_type(x509.DNSName) == [client_id]
    assert len(certificate(identity).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value) == 64


def test_a_server_is_named_by_hosts_and_addresses(authority, now):
    identity = authority.issue_server(["job-server", "Job.Example", "127.0.0.1", "::1"], now, DAY)
    assert names(identity).get_values_for_type(x509.DNSName) == ["job-server", "job.example"]
    assert names(identity).get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    assert purposes(identity) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_servers_certificate_is_verified_by_its_authority_and_by_no_other(authority, now):
    identity = authority.issue_server(["job-server"], now, DAY)
    policy = PolicyBuilder().time(now).store(Store([certificate(authority)]))
    policy.build_server_verifier(x509.DNSName("job-server")).verify(certificate(identity), [])
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("elsewhere")).verify(certificate(identity), [])
    other = CertificateAuthority.create("job", now, DAY)
    stranger = PolicyBuilder().time(now).store(Store([certificate(other)]))
    with pytest.raises(VerificationError):
        stranger.build_server_verifier(x509.DNSName("job-server")).verify(certificate(identity), [])


def test_a_clients_certificate_is_verified_as_a_clients_and_not_as_a_servers(authority, now):
    identity = authority.issue_client("edge-0", now, DAY)
    policy = PolicyBuilder().time(now).store(Store([certificate(authority)]))
    assert policy.build_client_verifier().verify(certificate(identity), []).subjects == [
        x509.DNSName("edge-0")
    ]
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("edge-0")).verify(certificate(identity), [])


def test_a_certificate_expires_when_it_was_asked_to(authority, now):
    identity = authority.issue_client("edge-0", now, DAY)
    assert identity.expires_at == now + DAY
    assert certificate(identity).not_valid_before_utc < now


def test_a_certificate_is_valid_for_peers_whose_clock_is_hours_behind(authority, now):
    identity = authority.issue_client("edge-0", now, DAY)
    assert identity.problem_at(now - timedelta(hours=14)) is None
    assert identity.problem_at(now + DAY) is None


@pytest.mark.parametrize("wrong", [-2 * DAY, 2 * DAY], ids=["behind", "ahead"])
def test_a_process_that_may_not_use_its_certificate_yet_or_any_more_is_told_why(authority, now, wrong):
    problem = authority.issue_client("edge-0", now, DAY).problem_at(
        (now + wrong).astimezone(timezone(-DAY / 4))
    )
    times = [f"{time:%Y-%m-%d %H:%M}" for time in (now - CLOCK_SKEW, now + DAY, now + wrong)]
    assert problem == (
        "The certificate of this process is valid from {} to {} UTC, but its clock says {}: set the clock, "
        "or renew the certificate."
    ).format(*times)


def test_no_certificate_outlives_its_authority(authority, now):
    assert (
        authority.issue_client("edge-0", now, YEAR).expires_at
        == authority.expires_at
        == now + timedelta(days=30)
    )


def test_an_authority_made_from_its_stored_fields_issues_as_before(authority, now):
    stored = CertificateAuthority(authority.certificate_pem, authority.private_key_pem)
    identity = stored.issue_client("edge-0", now, DAY)
    assert identity.ca_pem == authority.certificate_pem


@pytest.mark.parametrize(
    "client_id",
    [
        pytest.param("", id="empty"),
        pytest.param("Edge-0", id="upper case"),
        pytest.param("edge_0", id="underscore"),
        pytest.param("edge-", id="dash at the end"),
        pytest.param("edge..0", id="empty part"),
        pytest.param("edge-0\n", id="line break"),
        pytest.param("e" * 254, id="too long"),
    ],
)
def test_a_client_id_that_is_not_a_dns_name_is_refused(
    authority: CertificateAuthority, now: datetime, client_id: str
):
    with pytest.raises(InputError, match=r"The client id .* must consist of"):
        authority.issue_client(client_id, now, DAY)


@pytest.mark.parametrize(
    ("hosts", "problem"),
    [
        pytest.param([], "needs a name", id="none"),
        pytest.param(["job-server", "not a host"], "'not a host'", id="blank in a name"),
        pytest.param(["127.0.0.1:50051"], "'127.0.0.1:50051'", id="with a port"),
    ],
)
def test_a_server_without_usable_names_is_refused(authority, now, hosts, problem):
    with pytest.raises(InputError, match=problem):
        authority.issue_server(hosts, now, DAY)


@given(
    st.from_regex(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,3}(\.[a-z0-9]{1,20}){0,3}-[0-9]{1,2}", fullmatch=True)
)
def test_node_names_with_a_number_are_client_ids(text):
    assert is_dns_name(text)


def test_private_keys_are_not_printed(authority, now):
    identity = authority.issue_client("edge-0", now, DAY)
    assert "private_key" not in repr(identity) + repr(authority)
    assert "PRIVATE" not in repr(identity) + repr(authority)
