"""A bundle that is not what was sealed: damaged, made up, or sealed again by somebody who could."""

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from stories.attacker import signature_of
from stories.drops import flipped
from upgrader.adapters.state.bundle import read_bundle, write_bundle
from upgrader.domain.approval.record import Namespace
from upgrader.domain.changes.journal import read_history
from upgrader.domain.digest import Digest
from upgrader.domain.papers.evidence import Closure, make_statement
from upgrader.lab.hospital import ENGINEER, HEAD, Hospital
from upgrader.lab.keys import ensure_key


@dataclass(frozen=True, slots=True)
class Forger:
    """Works on a copy of a bundle. `whole` is the bundle as it was sealed."""

    hospital: Hospital
    whole: Path
    copy: Path

    @classmethod
    def of(cls, hospital: Hospital, whole: Path, folder: Path) -> Self:
        return cls(hospital, whole, folder / whole.name)

    @property
    def files(self) -> dict[str, bytes]:
        return dict(read_bundle(self.whole).files)

    def one(self, first: str, last: str = ".json") -> str:
        """The name of the one file that begins and ends so, wherever it lies."""
        return next(
            name for name in sorted(self.files) if name.split("/")[-1].startswith(first) and name.endswith(last)
        )

    def flip_in(self, name: str, at: int | None = None) -> None:
        """One byte of one file is another: the one in the middle unless `at` says which."""
        found, content = read_bundle(self.whole), self.whole.read_bytes()
        part = {**found.files, "statement.json": found.statement_bytes, "statement.json.sig": found.signature}[name]
        place = content.index(part) + (len(part) // 2 if at is None else at)
        self.copy.write_bytes(content[:place] + flipped(content[place : place + 1]) + content[place + 1 :])

    def seal_again(self, files: Mapping[str, bytes], key: Path, **closure: object) -> None:
        """As `close` would: a statement over exactly these files, signed with `key`."""
        said: Closure = replace(read_bundle(self.whole).statement.closure, **closure)  # type: ignore[arg-type] # any field
        files = {**files, "closure.json": said.to_bytes()}
        statement = make_statement(said, {name: Digest.of(content) for name, content in files.items()}).to_bytes()
        seal = signature_of(statement, key, Namespace.EVIDENCE)
        write_bundle(self.copy, files, statement, seal, secrets=())

    @property
    def key_of_who_closed(self) -> Path:
        return self.hospital.people_keys[ENGINEER]


Forgery = Callable[[Forger], None]


class Row(NamedTuple):
    """`names` has to stand in the message."""

    forgery: Forgery
    exit_code: int
    code: str
    names: str


def a_byte_of_the_plan_is_flipped(forger: Forger) -> None:
    forger.flip_in("plan.json")


def a_byte_of_the_journal_is_flipped(forger: Forger) -> None:
    forger.flip_in("journal.jsonl")


def a_byte_of_an_approval_is_flipped(forger: Forger) -> None:
    forger.flip_in(forger.one("approve_"))


def a_byte_of_what_ansible_said_is_flipped(forger: Forger) -> None:
    forger.flip_in(forger.one("upgrade", ".txt"))


def a_byte_of_the_trust_file_is_flipped(forger: Forger) -> None:
    forger.flip_in(forger.one("trust.1"), at=0)  # in the middle may stand a key, a name or a comma


def a_byte_of_the_statement_is_flipped(forger: Forger) -> None:
    forger.flip_in("statement.json")


def a_byte_of_the_seal_is_flipped(forger: Forger) -> None:
    forger.flip_in("statement.json.sig")


def it_ends_too_early(forger: Forger) -> None:
    forger.copy.write_bytes(forger.whole.read_bytes()[:-4096])


def something_was_added_behind_it(forger: Forger) -> None:
    forger.copy.write_bytes(forger.whole.read_bytes() + b"PK")


def it_was_packed_again(forger: Forger) -> None:
    forger.copy.write_bytes(gzip.compress(forger.whole.read_bytes()))


def it_is_empty(forger: Forger) -> None:
    forger.copy.write_bytes(b"")


def a_stranger_sealed_it_again(forger: Forger) -> None:
    forger.seal_again(forger.files, ensure_key(forger.copy.with_name("key"), comment="nobody"))


def another_person_of_the_hospital_sealed_it_again(forger: Forger) -> None:
    forger.seal_again(forger.files, forger.hospital.people_keys[HEAD])


# Who closed the change seals it again: only what others signed stands against that


def an_approval_was_left_out(forger: Forger) -> None:
    files = forger.files
    for name in (forger.one("approve_"), forger.one("approve_") + ".sig"):
        del files[name]
    forger.seal_again(files, forger.key_of_who_closed)


def an_approval_was_edited(forger: Forger) -> None:
    name = forger.one("approve_")
    edited = forger.files[name].replace(b'"reason": ""', b'"reason": "at any time"')
    forger.seal_again({**forger.files, name: edited}, forger.key_of_who_closed)


def the_plan_was_edited(forger: Forger) -> None:
    edited = forger.files["plan.json"].replace(b'"revision": 1', b'"revision": 2')
    forger.seal_again({**forger.files, "plan.json": edited}, forger.key_of_who_closed)


def the_plan_was_edited_and_the_closure_with_it(forger: Forger) -> None:
    edited = forger.files["plan.json"].replace(b'"revision": 1', b'"revision": 2')
    forger.seal_again({**forger.files, "plan.json": edited}, forger.key_of_who_closed, plan=Digest.of(edited))


def the_tail_of_the_journal_was_cut(forger: Forger) -> None:
    lines = forger.files["journal.jsonl"].splitlines(keepends=True)[:-1]
    forger.seal_again({**forger.files, "journal.jsonl": b"".join(lines)}, forger.key_of_who_closed)


def the_journal_was_told_anew(forger: Forger) -> None:
    """A chain that holds in itself: one detail is another, and every line after it was made to fit."""
    lines, told = forger.files["journal.jsonl"].splitlines(keepends=True), b""
    for line in lines:
        before = b'"prev":"' + line.split(b'"prev":"')[1][:64]
        fresh = b'"prev":"' + Digest.of(told.splitlines(keepends=True)[-1]).hex.encode() if told else before
        told += line.replace(before, fresh).replace(b'"outcome":"upgraded"', b'"outcome":"unchanged"')
    history = read_history(told.splitlines(keepends=True), "journal.jsonl")
    forger.seal_again({**forger.files, "journal.jsonl": told}, forger.key_of_who_closed, journal=history.head)


def the_trust_chain_was_left_out(forger: Forger) -> None:
    files = {name: content for name, content in forger.files.items() if "trust." not in name}
    forger.seal_again(files, forger.key_of_who_closed)


FORGED = (
    Row(a_byte_of_the_plan_is_flipped, 13, "evidence-changed", "plan.json"),
    Row(a_byte_of_the_journal_is_flipped, 13, "evidence-changed", "journal.jsonl"),
    Row(a_byte_of_an_approval_is_flipped, 13, "evidence-changed", "approve_"),
    Row(a_byte_of_what_ansible_said_is_flipped, 13, "evidence-changed", "runs/upgrade"),
    Row(a_byte_of_the_trust_file_is_flipped, 10, "record-not-canonical", "trust.1.json"),
    Row(a_byte_of_the_statement_is_flipped, 13, "evidence-seal-broken", "statement.json"),
    Row(a_byte_of_the_seal_is_flipped, 13, "evidence-seal-broken", "statement.json"),
    Row(it_ends_too_early, 13, "evidence-damaged", "byte"),
    Row(something_was_added_behind_it, 13, "evidence-damaged", "byte"),
    Row(it_was_packed_again, 13, "evidence-damaged", "byte 0"),
    Row(it_is_empty, 13, "evidence-damaged", "byte 0"),
    Row(a_stranger_sealed_it_again, 13, "evidence-seal-broken", "key-not-known"),
    Row(another_person_of_the_hospital_sealed_it_again, 13, "evidence-seal-broken", "key-not-known"),
    Row(an_approval_was_left_out, 13, "evidence-record-missing", "approve_"),
    Row(an_approval_was_edited, 10, "signature-invalid", "approve_"),
    Row(the_plan_was_edited, 13, "evidence-disagrees", "plan.json"),
    Row(the_plan_was_edited_and_the_closure_with_it, 13, "evidence-disagrees", "journal.jsonl plan"),
    Row(the_tail_of_the_journal_was_cut, 13, "evidence-disagrees", "journal.jsonl"),
    Row(the_journal_was_told_anew, 13, "evidence-disagrees", "accept_"),
    Row(the_trust_chain_was_left_out, 10, "trust-missing", "trust"),
)
