"""The verbs of the trust file with real keys and real files: a key comes, is lost, a person leaves, holders sign apart.

Each machine has its own folder of the chain, as a hospital's people have; what goes between them is a file.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import fakes
from upgrader.adapters import documents
from upgrader.adapters.trust import ssh_signatures
from upgrader.adapters.trust.trust_files import TrustFiles
from upgrader.domain.approval.enrolment import PROOF_LIVES, Proven
from upgrader.domain.approval.record import Namespace
from upgrader.domain.approval.trust import Trust
from upgrader.domain.approval.trust_change import following
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.names import PersonId
from upgrader.flow.approval.trust import (
    Ending,
    NextTrust,
    Signing,
    ask_to_enrol,
    enrol,
    install_prepared,
    read_prepared,
    read_proofs,
    revoke,
    sign_prepared,
    start_trust,
    trust_history,
    unproven,
    update_trust,
)
from upgrader.flow.site import Site
from upgrader.lab.keys import ensure_key, public_text

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
ZHANG, WANG = PersonId("zhang.wei"), PersonId("wang.fang")
NAMES = ("root-a", "root-b", "root-c", "zhang.wei", "wang.fang", "vendor", "new", "stranger")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: ensure_key(folder / name, comment=name) for name in NAMES}


class Machine:
    """One computer with a copy of the chain."""

    def __init__(self, folder: Path, keys: dict[str, Path]) -> None:
        self.folder = folder
        self.keys = keys
        self.clock = fakes.Clock(NOW)
        self.files = TrustFiles(folder / "trust")

    def site(self, person: str | None = None, key: str | None = None) -> Site:
        return replace(
            fakes.Hospital().site(),
            trust=self.files,
            signatures=ssh_signatures,
            documents=documents,
            clock=self.clock,
            person=PersonId(person) if person else None,
            key=self.keys[key] if key else None,
        )

    def policy(self, *, threshold: int = 1, roots: Sequence[str] = ("root-a",), **changes: Any) -> bytes:
        people = [self.person("zhang.wei", "head"), self.person("wang.fang", "information")]
        rows = [{"role": "head", "count": 1}]
        rule = {"approvals": rows, "people": 1, "tests": [], "acceptance": rows, "approval_hours": 24}
        policy = {
            "site": "renmin-hospital",
            "repository": {"id": "renmin", "url": "/srv/git/site.git", "branch": "main"},
            "expires": "2027-11-22",
            "root": {"threshold": threshold, "keys": [public_text(self.keys[name]) for name in roots]},
            "roles": {"head": "hospital", "information": "hospital"},
            "people": people,
            "vendors": [
                {
                    "id": "lanxin",
                    "name": {"zh": "蓝信", "en": "Lanxin"},
                    "systems": ["lis"],
                    "keys": [public_text(self.keys["vendor"])],
                }
            ],
            "rules": {"normal": rule},
        }
        return json.dumps({**policy, **changes}).encode()

    def person(self, id: str, role: str, *, keys: Sequence[str] | None = None) -> dict[str, Any]:
        held = [public_text(self.keys[name]) for name in (keys if keys is not None else (id,))]
        return {"id": id, "name": {"zh": id, "en": id}, "organisation": "hospital", "roles": [role], "keys": held}

    def start(self, roots: str = "a", threshold: int = 1) -> NextTrust:
        names = [f"root-{letter}" for letter in roots]
        policy = self.policy(threshold=threshold, roots=names)
        return start_trust(self.site(), policy, "policy.yml", (), self.signing(*names))

    def signing(self, *names: str, to: Path | None = None) -> Signing:
        return Signing(root_keys=[self.keys[name] for name in names], folder=to)

    def asks(self, person: str, key: str, folder: Path) -> Path:
        self.clock.now += timedelta(seconds=1)
        return ask_to_enrol(self.site(person, key), "new laptop", folder)[1]

    def enrols(self, *files: Path, signing: Signing | None = None) -> NextTrust:
        proofs = read_proofs(self.site(), files)
        return enrol(self.site(), proofs, "new laptop", None, signing or self.signing("root-a"))

    def revokes(self, person: str, **fields: Any) -> NextTrust:
        self.clock.now += timedelta(hours=1)
        wanted = {"at": self.clock.now, "fingerprint": None, "leaves": False, "reason": "stick lost", **fields}
        return revoke(self.site(), Ending(PersonId(person), **wanted), self.signing("root-a"))

    def updates(self, policy: bytes, *files: Path, signing: Signing | None = None) -> NextTrust:
        self.clock.now += timedelta(hours=1)
        proofs = read_proofs(self.site(), files)
        return update_trust(
            self.site(), policy, "policy.yml", proofs, "yearly review", signing or self.signing("root-a")
        )

    def valid(self, person: str) -> list[str]:
        """The names of the keys with which a person can sign now."""
        found = self.files.load().person(person)
        assert found is not None
        public = {public_text(path): name for name, path in self.keys.items()}
        return [public[key.public] for key in found.keys if found.active and key.is_valid(self.clock.now)]

    def fingerprint(self, name: str) -> str:
        return ssh_signatures.fingerprint(public_text(self.keys[name]))


@pytest.fixture
def machine(tmp_path: Path, keys: dict[str, Path]) -> Machine:
    return Machine(tmp_path / "controller", keys)


@pytest.fixture
def started(machine: Machine) -> Iterator[Machine]:
    machine.start()
    yield machine
    assert machine.files.chain(), "the chain holds, whatever was tried"


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises((Refused, BadInput)) as refused:
        action()
    return refused.value.code


def changes(made: NextTrust) -> list[str]:
    return [change.code for change in made.changes]


# ------------------------------------------------------------------------------------------------- a key comes


def test_a_key_counts_from_its_enrolment_on_and_its_proof_is_kept(started: Machine, tmp_path: Path) -> None:
    made = started.enrols(started.asks("zhang.wei", "new", tmp_path))

    assert (made.installed, made.trust.version, changes(made)) == (True, 2, ["key-enrolled"])
    assert started.valid("zhang.wei") == ["zhang.wei", "new"]
    (proof,) = [key.possession for key in started.files.load().people[0].keys if key.possession]
    assert proof.reason == "new laptop"
    assert unproven(started.files.load()) == [ZHANG, WANG]


def test_a_key_of_the_first_version_can_be_proven_later(started: Machine, tmp_path: Path) -> None:
    made = started.enrols(started.asks("zhang.wei", "zhang.wei", tmp_path))

    assert changes(made) == ["key-proven"]
    assert unproven(made.trust) == [WANG]
    assert code_of(lambda: started.enrols(started.asks("zhang.wei", "zhang.wei", tmp_path))) == "key-enrolled-already"


def test_a_key_that_somebody_else_holds_proves_nothing(started: Machine, tmp_path: Path) -> None:
    """The public half of a stranger's key under one's own name: its owner alone could sign for it."""
    file = started.asks("zhang.wei", "new", tmp_path)
    lines = file.read_text().replace(public_text(started.keys["new"]), public_text(started.keys["stranger"]))
    file.write_text(lines)

    assert code_of(lambda: started.enrols(file)) == "key-not-known"


def test_a_proof_under_another_name_is_no_proof(started: Machine, tmp_path: Path) -> None:
    file = started.asks("zhang.wei", "new", tmp_path)
    file.write_text(file.read_text().replace("zhang.wei", "wang.fang"))

    assert code_of(lambda: started.enrols(file)) == "signature-invalid"


def test_a_proof_without_its_signature_is_no_proof(started: Machine, tmp_path: Path) -> None:
    file = started.asks("zhang.wei", "new", tmp_path)
    file.with_name(f"{file.name}.sig").unlink()

    assert code_of(lambda: started.enrols(file)) == "file-not-read"


def test_an_approval_is_no_proof(started: Machine, tmp_path: Path) -> None:
    file = started.asks("zhang.wei", "new", tmp_path)
    meant = ssh_signatures.sign(file.read_bytes(), Namespace.APPROVAL, started.keys["new"])
    file.with_name(f"{file.name}.sig").write_bytes(meant)

    assert code_of(lambda: started.enrols(file)) == "signature-invalid"


@pytest.mark.parametrize("passed", [PROOF_LIVES, -timedelta(minutes=6)], ids=["too old", "from the future"])
def test_a_proof_lives_a_fortnight(started: Machine, tmp_path: Path, passed: timedelta) -> None:
    file = started.asks("zhang.wei", "new", tmp_path)
    started.clock.now += passed

    assert code_of(lambda: started.enrols(file)) == "enrolment-expired"


def test_a_proof_of_another_site_is_refused(started: Machine, tmp_path: Path) -> None:
    file = started.asks("zhang.wei", "new", tmp_path)
    file.write_text(file.read_text().replace("renmin-hospital", "other-hospital"))
    signature = ssh_signatures.sign(file.read_bytes(), Namespace.ENROLMENT, started.keys["new"])
    file.with_name(f"{file.name}.sig").write_bytes(signature)

    assert code_of(lambda: started.enrols(file)) == "enrolment-elsewhere"


def test_nobody_enrols_who_is_not_in_the_file(started: Machine, tmp_path: Path) -> None:
    assert code_of(lambda: started.enrols(started.asks("sun.wu", "new", tmp_path))) == "enrolment-of-nobody"


def test_a_key_of_one_is_no_key_of_another(started: Machine, tmp_path: Path) -> None:
    assert code_of(lambda: started.enrols(started.asks("zhang.wei", "wang.fang", tmp_path))) == "trust-weak"


def test_a_policy_brings_no_key_that_nobody_proved(started: Machine, tmp_path: Path) -> None:
    people = [
        started.person("zhang.wei", "head", keys=("zhang.wei", "new")),
        started.person("wang.fang", "information"),
    ]
    policy = started.policy(people=people)

    assert code_of(lambda: started.updates(policy)) == "key-not-proven"

    made = started.updates(policy, started.asks("zhang.wei", "new", tmp_path))
    assert (made.installed, started.valid("zhang.wei")) == (True, ["zhang.wei", "new"])


def test_a_new_person_comes_by_policy_and_proof_together(started: Machine, tmp_path: Path) -> None:
    people = [started.person(n, r) for n, r in (("zhang.wei", "head"), ("wang.fang", "information"))]
    policy = started.policy(people=[*people, started.person("sun.wu", "head", keys=())])

    made = started.updates(policy, started.asks("sun.wu", "new", tmp_path))

    assert changes(made) == ["person-added", "key-enrolled"]
    assert started.valid("sun.wu") == ["new"]


def test_a_proof_that_was_changed_in_the_file_is_found_by_an_auditor(started: Machine, tmp_path: Path) -> None:
    """The root keys may sign a bad proof, but whoever audits the chain, or installs a version, sees it."""
    (asked,) = read_proofs(started.site(), [started.asks("zhang.wei", "new", tmp_path)])
    forged = Proven(replace(asked.enrolment, reason="another reason"), asked.signature)

    assert code_of(lambda: enrol(started.site(), [forged], "x", None, started.signing("root-a"))) == "signature-invalid"


# --------------------------------------------------------------------------------- a key is lost, a person leaves


def test_a_revoked_key_ends_at_the_hour_of_its_loss_and_for_ever(started: Machine, tmp_path: Path) -> None:
    loss = NOW - timedelta(hours=3)

    made = started.revokes("zhang.wei", at=loss)

    assert (changes(made), started.valid("zhang.wei")) == (["key-revoked"], [])
    assert [kind for kind, _ in made.short] == ["normal"]  # said, and safe: nobody can approve until a key is enrolled
    updated = started.updates(started.policy(expires="2028-11-22"))
    assert changes(updated) == ["expires-changed"]
    assert started.valid("zhang.wei") == []
    started.enrols(started.asks("zhang.wei", "new", tmp_path))
    assert started.valid("zhang.wei") == ["new"]


def test_not_even_the_root_keys_bring_a_revoked_key_back(started: Machine) -> None:
    started.revokes("zhang.wei")
    before = started.files.load()
    undone = tuple(replace(p, keys=tuple(replace(k, revoked=None) for k in p.keys)) for p in before.people)
    forged = replace(following(before, issued=started.clock.now, reason="oops"), people=undone)

    assert code_of(lambda: started.files.install(forged, _signed(forged, started.keys["root-a"]))) == "key-was-revoked"


def test_a_revoked_key_does_not_come_back_after_it_was_left_out(started: Machine, tmp_path: Path) -> None:
    started.revokes("wang.fang")
    started.updates(started.policy(people=[started.person("zhang.wei", "head")]))  # wang.fang is gone altogether
    people = [started.person("zhang.wei", "head"), started.person("wang.fang", "information", keys=())]

    file = started.asks("wang.fang", "wang.fang", tmp_path)

    assert code_of(lambda: started.updates(started.policy(people=people), file)) == "key-was-revoked"


def test_one_of_several_keys_has_to_be_named(started: Machine, tmp_path: Path) -> None:
    started.enrols(started.asks("zhang.wei", "new", tmp_path))

    assert code_of(lambda: started.revokes("zhang.wei")) == "key-to-choose"
    assert code_of(lambda: started.revokes("zhang.wei", fingerprint=started.fingerprint("vendor"))) == "key-not-known"
    assert code_of(lambda: started.revokes("sun.wu")) == "person-not-active"

    started.revokes("zhang.wei", fingerprint=started.fingerprint("zhang.wei"))
    assert started.valid("zhang.wei") == ["new"]


def test_a_vendors_key_is_revoked_too(started: Machine) -> None:
    assert changes(started.revokes("lanxin")) == ["key-revoked"]


def test_who_leaves_signs_nothing_and_no_policy_brings_them_back(started: Machine, tmp_path: Path) -> None:
    made = started.revokes("wang.fang", leaves=True, reason="left the hospital")

    assert changes(made) == ["person-left", "key-revoked"]
    started.updates(started.policy(expires="2028-11-22"))
    assert started.valid("wang.fang") == []
    back = started.enrols(started.asks("wang.fang", "new", tmp_path))
    assert changes(back) == ["person-returned", "key-enrolled"]
    assert started.valid("wang.fang") == ["new"]


def test_the_only_one_who_can_sign_leaves_when_somebody_else_can(started: Machine) -> None:
    """Their key ends at once if need be; the person goes when the successor is there."""
    assert code_of(lambda: started.revokes("zhang.wei", leaves=True)) == "trust-weak"

    assert started.revokes("zhang.wei").installed


# --------------------------------------------------------------------------- holders of root keys on their own machines


def test_two_holders_sign_on_their_own_machines(machine: Machine, tmp_path: Path) -> None:
    machine.start("abc", threshold=2)
    other = Machine(tmp_path / "other", machine.keys)
    shutil.copytree(machine.folder, other.folder)
    stick = tmp_path / "stick"

    prepared = machine.updates(
        machine.policy(threshold=2, roots=("root-a", "root-b", "root-c"), expires="2028-01-01"),
        signing=machine.signing("root-a", to=stick),
    )

    assert (prepared.installed, prepared.file) == (False, stick / "trust.2.json")
    assert machine.files.load().version == 1
    assert code_of(lambda: install_prepared(machine.site(), stick / "trust.2.json")) == "trust-signatures-missing"
    seen = read_prepared(other.site(), stick / "trust.2.json")
    assert "expires-changed" in changes(seen)
    assert sign_prepared(other.site(), stick / "trust.2.json", [machine.keys["root-c"]]).is_whole
    assert install_prepared(machine.site(), stick / "trust.2.json").installed
    assert machine.files.load() == prepared.trust
    assert len(machine.files.signers(2)) == 2


def test_one_holder_who_signs_twice_is_one(machine: Machine, tmp_path: Path) -> None:
    machine.start("ab", threshold=2)
    policy = machine.policy(threshold=2, roots=("root-a", "root-b"), expires="2028-01-01")
    machine.updates(policy, signing=machine.signing("root-a", to=tmp_path))

    assert not sign_prepared(machine.site(), tmp_path / "trust.2.json", [machine.keys["root-a"]]).is_whole


def test_a_stranger_signs_no_version(machine: Machine, tmp_path: Path) -> None:
    machine.start("ab", threshold=2)
    policy = machine.policy(threshold=2, roots=("root-a", "root-b"), expires="2028-01-01")
    machine.updates(policy, signing=machine.signing(to=tmp_path))  # whoever prepares it needs no root key

    signing = [machine.keys["stranger"]]
    assert code_of(lambda: sign_prepared(machine.site(), tmp_path / "trust.2.json", signing)) == "key-not-known"
    assert not list(tmp_path.glob("*.sig"))


def test_a_prepared_version_that_was_edited_is_seen(machine: Machine, tmp_path: Path) -> None:
    machine.start("ab", threshold=2)
    policy = machine.policy(threshold=2, roots=("root-a", "root-b"), expires="2028-01-01")
    machine.updates(policy, signing=machine.signing("root-a", to=tmp_path))
    file = tmp_path / "trust.2.json"
    file.write_text(file.read_text().replace('"expires": "2028-01-01', '"expires": "2038-01-01'))

    assert code_of(lambda: read_prepared(machine.site(), file)) == "signature-invalid"


def test_what_was_prepared_for_another_version_does_not_follow(machine: Machine, tmp_path: Path) -> None:
    """Two versions 2 were signed; the third belongs to one of them only."""
    machine.start("a")
    other = Machine(tmp_path / "other", machine.keys)
    shutil.copytree(machine.folder, other.folder)
    machine.updates(machine.policy(expires="2028-01-01"))
    other.updates(machine.policy(expires="2029-01-01"))
    other.updates(machine.policy(expires="2030-01-01"), signing=machine.signing(to=tmp_path / "stick"))

    assert code_of(lambda: read_prepared(machine.site(), tmp_path / "stick" / "trust.3.json")) == "trust-not-following"


def test_without_any_root_key_nothing_is_made_unless_for_their_holders(started: Machine) -> None:
    policy = started.policy(expires="2028-01-01")

    assert code_of(lambda: started.updates(policy, signing=started.signing())) == "trust-without-root-key"


def test_root_keys_change_when_the_old_and_the_new_ones_sign(started: Machine) -> None:
    moved = started.policy(roots=("root-b",))

    assert code_of(lambda: started.updates(moved)) == "trust-signatures-missing"
    made = started.updates(moved, signing=started.signing("root-a", "root-b"))
    assert "root-changed" in changes(made)
    later = started.policy(roots=("root-b",), expires="2028-01-01")
    assert code_of(lambda: started.updates(later)) == "key-not-known"  # root-a signs nothing any more


def test_a_version_that_changes_nothing_is_not_made(started: Machine) -> None:
    assert code_of(lambda: started.updates(started.policy())) == "trust-unchanged"


# ---------------------------------------------------------------------------------------------------------- history


def test_every_version_tells_when_why_and_what_it_changed(started: Machine, tmp_path: Path) -> None:
    started.enrols(started.asks("zhang.wei", "new", tmp_path))
    started.revokes("zhang.wei", fingerprint=started.fingerprint("zhang.wei"))

    history = trust_history(started.site())

    assert [(past.trust.version, past.trust.reason) for past in history] == [
        (1, None),
        (2, "new laptop"),
        (3, "stick lost"),
    ]
    assert [[change.code for change in past.changes] for past in history] == [[], ["key-enrolled"], ["key-revoked"]]
    assert {past.signers for past in history} == {(started.fingerprint("root-a"),)}


def _signed(trust: Trust, key: Path) -> list[bytes]:
    return [ssh_signatures.sign(trust.to_bytes(), Namespace.TRUST_ROOT, key)]
