from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pslgs.identity.identity import Identity
from pslgs.identity.identity_folders import issue_identities
from pslgs.spec.errors import InputError

YEAR = timedelta(days=365)


def certificate(folder):
    return x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_each_party_gets_an_identity_of_the_same_authority(tmp_path, now):
    issued = issue_identities(tmp_path / "keys", ["hub.example"], ["north", "south"], now, YEAR)
    assert [path.name for path in issued] == ["server", "north", "south"]
    assert len({Identity.load(path).ca_pem for path in (*issued, tmp_path / "keys" / "authority")}) == 1


@pytest.mark.parametrize(
    ("name", "usage", "names"),
    [
        ("server", ExtendedKeyUsageOID.SERVER_AUTH, ["hub.example", "hub"]),
        ("north", ExtendedKeyUsageOID.CLIENT_AUTH, ["north"]),
    ],
)
def test_an_identity_is_for_its_party_only(tmp_path, now, name, usage, names):
    issue_identities(tmp_path, ["hub.example", "hub"], ["north"], now, YEAR)
    issued = certificate(tmp_path / name)
    assert list(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
    alternative = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == names
    assert issued.not_valid_after_utc == now + YEAR


def test_a_client_can_be_added_later(tmp_path, now):
    issue_identities(tmp_path, ["hub"], ["north"], now, YEAR)
    before = contents(tmp_path)
    later = now + timedelta(days=30)
    assert issue_identities(tmp_path, [], ["north", "south"], later, YEAR) == [tmp_path / "south"]
    assert {path: text for path, text in contents(tmp_path).items() if path in before} == before
    assert Identity.load(tmp_path / "south").ca_pem == Identity.load(tmp_path / "server").ca_pem


def test_private_keys_are_readable_by_their_owner_only(tmp_path, now):
    issue_identities(tmp_path, ["hub"], ["north"], now, YEAR)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/tls.key")} == {0o600}


@pytest.mark.parametrize(
    ("names", "clients", "message"),
    [
        ([], ["north"], r"^--server: is missing; give the host name"),
        (["hub"], ["authority"], r"^--clients: names 'authority', whose folder is no client's"),
        (["hub"], ["server"], r"^--clients: names 'server', whose folder is no client's"),
        (["hub"], ["../north"], r"The client id '\.\./north' must consist of"),
        (["a b"], ["north"], r"The server name 'a b' is not an IP address"),
    ],
)
def test_what_cannot_be_issued_is_refused_before_anything_is_written(tmp_path, now, names, clients, message):
    with pytest.raises(InputError, match=message):
        issue_identities(tmp_path / "keys", names, clients, now, YEAR)
    assert not (tmp_path / "keys").exists()


def test_a_damaged_authority_is_named(tmp_path, now):
    issue_identities(tmp_path, ["hub"], [], now, YEAR)
    (tmp_path / "authority" / "tls.key").write_text("nothing")
    with pytest.raises(InputError, match=r"authority/tls\.key: is not an unencrypted PEM private key"):
        issue_identities(tmp_path, [], ["north"], now, YEAR)
