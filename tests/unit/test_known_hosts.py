"""known_hosts of the inventory: one key of a kind for an address, and none that hides whose it is."""

import base64
from pathlib import Path

import pytest

from upgrader.adapters.hosts.known_hosts import KnownHosts
from upgrader.domain.errors import BadInput

ONE, OTHER = (base64.b64encode(text).decode() for text in (b"one key", b"another key"))


def read(folder: Path, *lines: str) -> KnownHosts:
    (folder / "known_hosts").write_text("".join(f"{line}\n" for line in lines))
    return KnownHosts.read(folder / "known_hosts")


def test_two_keys_of_one_kind_for_one_address_are_refused(tmp_path: Path) -> None:
    line = f"10.0.0.1 ssh-ed25519 {ONE}"
    assert read(tmp_path, line, line, f"10.0.0.1 ssh-rsa {OTHER}").fingerprint("pc-1", "10.0.0.1", 22)

    with pytest.raises(BadInput, match="known-hosts-ambiguous"):
        read(tmp_path, line, f"10.0.0.2,10.0.0.1 ssh-ed25519 {OTHER}")


@pytest.mark.parametrize(("address", "port"), [("10.0.0.2", 22), ("10.0.0.1", 2222)])
def test_a_host_whose_key_nobody_pinned_is_refused(address: str, port: int, tmp_path: Path) -> None:
    known = read(tmp_path, f"10.0.0.1 ssh-ed25519 {ONE}")

    with pytest.raises(BadInput, match="host-key-not-pinned"):
        known.fingerprint("pc-1", address, port)


@pytest.mark.parametrize("line", ["|1|aGFzaA==|aGFzaA== ssh-ed25519 AAAA", "*.hospital ssh-ed25519 AAAA", "10.0.0.1 x"])
def test_a_line_that_hides_whose_key_it_is_is_refused(line: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="known-hosts-malformed"):
        read(tmp_path, line)
