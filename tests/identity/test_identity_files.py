"""Identities are kept in folders, as Kubernetes mounts them from Secrets."""

import base64
import stat
from dataclasses import replace
from datetime import timedelta

import pytest

from pslgs.identity.identity import Identity
from pslgs.spec.errors import InputError


@pytest.fixture
def identity(authority, now) -> Identity:
    return authority.issue_client("edge-0", now, timedelta(days=1))


def test_an_identity_is_loaded_as_it_was_saved(identity, tmp_path):
    identity.save(tmp_path / "new" / "folder")
    assert Identity.load(tmp_path / "new" / "folder") == identity


def test_the_private_key_is_readable_by_its_owner_only(identity, tmp_path):
    (tmp_path / "tls.key").write_text("old")
    (tmp_path / "tls.key").chmod(0o644)
    identity.save(tmp_path)
    assert stat.S_IMODE((tmp_path / "tls.key").stat().st_mode) == 0o600


def test_every_missing_file_is_named(identity, tmp_path):
    identity.save(tmp_path)
    (tmp_path / "tls.key").unlink()
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(InputError) as raised:
        Identity.load(tmp_path)
    assert [violation.path for violation in raised.value.violations] == [
        str(tmp_path / "tls.key"),
        str(tmp_path / "ca.crt"),
    ]
    assert "No such file" in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("tls.crt", id="certificate"),
        pytest.param("tls.key", id="key"),
        pytest.param("ca.crt", id="authority"),
    ],
)
def test_a_file_that_is_not_pem_is_named_in_the_error(identity, tmp_path, name):
    identity.save(tmp_path)
    (tmp_path / name).write_bytes(b"\0garbage")
    with pytest.raises(InputError, match=f"{name}: is not a"):
        Identity.load(tmp_path)


def test_a_key_of_another_certificate_is_refused(authority, identity, now, tmp_path):
    other = authority.issue_client("edge-1", now, timedelta(days=1))
    replace(identity, private_key_pem=other.private_key_pem).save(tmp_path)
    with pytest.raises(InputError, match=r"tls\.key: does not belong to tls\.crt"):
        Identity.load(tmp_path)


def test_a_certificate_that_is_changed_anywhere_is_read_or_named_in_the_error(identity, tmp_path):
    """A change may leave one of an unknown version, or whose key is of no known kind."""
    lines = identity.certificate_pem.decode().splitlines()
    der = base64.b64decode("".join(lines[1:-1]))
    refused = 0
    for position in range(len(der)):
        changed = bytes([*der[:position], der[position] ^ 0x15, *der[position + 1 :]])
        pem = "\n".join((lines[0], base64.encodebytes(changed).decode().strip(), lines[-1], ""))
        for name in ("tls.crt", "ca.crt"):
            identity.save(tmp_path)
            (tmp_path / name).write_text(pem)
            try:
                Identity.load(tmp_path)
            except InputError as error:
                refused += 1
                assert "tls.crt" in str(error) or "ca.crt" in str(error)  # noqa: PT017 - may be accepted
    assert refused > len(der) // 4
