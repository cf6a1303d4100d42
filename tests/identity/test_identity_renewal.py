"""An identity is read again when its files are replaced, as the kubelet does when a Secret changes."""

from datetime import timedelta
from pathlib import Path

import pytest

from pslgs.identity.identity import Identity, renewed_from
from pslgs.spec.errors import InputError


@pytest.fixture
def issued(authority, now) -> list[Identity]:
    return [authority.issue_client("edge-0", now, timedelta(days=days)) for days in (1, 2)]


def mount(folder: Path, identity: Identity, version: str) -> None:
    """Exchange all files at once, by way of links, as the kubelet does."""
    identity.save(folder / version)
    link = folder / "..new"
    link.symlink_to(version)
    link.replace(folder / "..data")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))


def test_a_replaced_identity_is_returned_by_the_next_call(issued, tmp_path):
    mount(tmp_path, issued[0], "..1")
    source = renewed_from(tmp_path)
    assert source() == issued[0]
    mount(tmp_path, issued[1], "..2")
    assert source() == issued[1]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder, new: (folder / "tls.key").write_bytes(new.private_key_pem), id="half"),
        pytest.param(lambda folder, _: (folder / "tls.crt").unlink(), id="missing"),
        pytest.param(lambda folder, _: (folder / "ca.crt").write_bytes(b"x"), id="damaged"),
    ],
)
def test_the_previous_identity_is_kept_while_the_files_do_not_match(issued, tmp_path, damage, caplog):
    issued[0].save(tmp_path)
    source = renewed_from(tmp_path)
    damage(tmp_path, issued[1])
    assert source() == issued[0]
    assert "the identity is not renewed" in caplog.text
    issued[1].save(tmp_path)
    assert source() == issued[1]


def test_a_missing_first_identity_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"tls\.crt"):
        renewed_from(tmp_path)
