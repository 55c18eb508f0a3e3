"""The memory of verified signatures: it spares ssh-keygen a second look, and decides nothing."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upgrader.adapters.trust import ssh_signatures
from upgrader.adapters.trust.verified_signatures import KEY_FILE, VerifiedSignatures
from upgrader.domain.approval.claim import Claim
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Key
from upgrader.domain.errors import PreflightFailed, Refused
from upgrader.lab.keys import ensure_key

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Claim:
    key = ensure_key(tmp_path_factory.mktemp("keys") / "li.na", comment="li.na")
    theirs = Key(public=ssh_signatures.public_key(key), valid_from=NOW - DAY, valid_until=NOW + DAY)
    content = b'{\n  "decision": "approve"\n}\n'
    return Claim(
        content=content,
        signature=ssh_signatures.sign(content, Namespace.APPROVAL, key),
        namespace=Namespace.APPROVAL,
        principal="li.na",
        keys=(theirs,),
        file="approve_li.na.json",
    )


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "verified"


@pytest.fixture
def without_ssh_keygen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(ssh_signatures, "VERIFY_ENVIRONMENT", {"PATH": "/nonexistent"})


def entry(memory: Path) -> Path:
    (path,) = [path for path in memory.rglob("*") if path.is_file() and path.name != KEY_FILE]
    return path


def is_remembered(memory: Path, claim: Claim, at: datetime = NOW) -> bool:
    """Only where ssh-keygen is out of reach: then a claim holds from memory, or it can't be verified."""
    try:
        return VerifiedSignatures(memory).verify(claim, at) != ""
    except PreflightFailed:
        return False


def test_what_was_verified_once_needs_no_ssh_keygen(
    memory: Path, claim: Claim, without_ssh_keygen: Callable[[], None]
) -> None:
    first = VerifiedSignatures(memory).verify(claim, NOW)
    without_ssh_keygen()

    assert VerifiedSignatures(memory).verify(claim, NOW) == first
    assert entry(memory).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", [NOW - 2 * DAY, NOW + DAY])
def test_whether_the_key_counts_then_is_decided_every_time(memory: Path, claim: Claim, at: datetime) -> None:
    VerifiedSignatures(memory).verify(claim, NOW)

    with pytest.raises(Refused, match="key-not-valid"):
        VerifiedSignatures(memory).verify(claim, at)


def test_a_key_that_was_taken_away_is_not_known(memory: Path, claim: Claim) -> None:
    VerifiedSignatures(memory).verify(claim, NOW)

    with pytest.raises(Refused, match="key-not-known"):
        VerifiedSignatures(memory).verify(replace(claim, keys=()), NOW)


def other_key_set(claim: Claim) -> Claim:
    (key,) = claim.keys
    assert isinstance(key, Key)
    return replace(claim, keys=(replace(key, valid_until=key.valid_until + DAY),))


DIFFERENT: dict[str, Callable[[Claim], Claim]] = {
    "content": lambda claim: replace(claim, content=claim.content + b" "),
    "person": lambda claim: replace(claim, principal="zhang.min"),
    "key set": other_key_set,
}


@pytest.mark.parametrize("different", DIFFERENT.values(), ids=DIFFERENT)
def test_nothing_else_is_believed_because_of_it(
    memory: Path, claim: Claim, different: Callable[[Claim], Claim], without_ssh_keygen: Callable[[], None]
) -> None:
    VerifiedSignatures(memory).verify(claim, NOW)
    without_ssh_keygen()

    assert not is_remembered(memory, different(claim))


def forged(path: Path, other: Path) -> None:
    path.write_bytes(b"0" * 32)


def from_another_state_folder(path: Path, other: Path) -> None:
    path.write_bytes(entry(other).read_bytes())


def of_a_lost_key(path: Path, other: Path) -> None:
    (path.parents[1] / KEY_FILE).unlink()


def readable_by_others(path: Path, other: Path) -> None:
    path.chmod(0o644)


def a_link(path: Path, other: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def torn(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("spoil", [forged, from_another_state_folder, of_a_lost_key, readable_by_others, a_link, torn])
def test_an_entry_that_is_not_ours_means_nothing(
    memory: Path,
    tmp_path: Path,
    claim: Claim,
    spoil: Callable[[Path, Path], None],
    without_ssh_keygen: Callable[[], None],
) -> None:
    VerifiedSignatures(memory).verify(claim, NOW)
    VerifiedSignatures(tmp_path / "other").verify(claim, NOW)
    spoil(entry(memory), tmp_path / "other")
    without_ssh_keygen()

    assert not is_remembered(memory, claim)


def test_a_signature_that_does_not_hold_is_not_remembered(memory: Path, claim: Claim) -> None:
    for _ in range(2):
        with pytest.raises(Refused, match="signature-invalid"):
            VerifiedSignatures(memory).verify(replace(claim, content=b"other"), NOW)

    assert [path for path in memory.rglob("*") if path.is_file() and path.name != KEY_FILE] == []


def test_it_may_be_deleted_at_any_time_and_need_not_be_writable(memory: Path, claim: Claim) -> None:
    signatures = VerifiedSignatures(memory)
    signatures.verify(claim, NOW)
    shutil.rmtree(memory)
    signatures.verify(claim, NOW)
    shutil.rmtree(memory)
    memory.write_text("in the way")

    assert VerifiedSignatures(memory).verify(claim, NOW)
