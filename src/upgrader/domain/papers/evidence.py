"""Evidence: what is kept of a change once it is over, and the one statement that covers every file of it.

The statement is an in-toto Statement (v1, https://in-toto.io/Statement/v1): its subjects are the files by name and
SHA-256, its predicate is the closure. Whoever signs its bytes signs the whole bundle.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from upgrader.domain import canonical, plain
from upgrader.domain.changes.request import Kind
from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity, Refused
from upgrader.domain.names import ChangeId, Name, PersonId, SiteId, SystemId, Version

CLOSURE_FORMAT = "upgrader.closure/1"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:upgrader:evidence:v1"
STATEMENT_FILE = "statement.json"
SIGNATURE_FILE = "statement.json.sig"
LARGEST_STATEMENT = 16 * 1024 * 1024


class EvidenceName(Name):
    """The name of a file in a bundle: relative, with `/`, and never able to leave its folder."""

    pattern = re.compile(r"(?=.{1,134}$)[A-Za-z0-9][A-Za-z0-9._+~-]{0,98}(/[A-Za-z0-9][A-Za-z0-9._+~-]{0,98}){0,7}")
    expected = "a relative file name of letters, digits and . _ + ~ -"


class Ending(StrEnum):
    """How a change ended."""

    COMPLETED = "completed"
    COMPLETED_IN_PART = "completed-in-part"  # some hosts were left behind, each with an owner and a due date
    ROLLED_BACK = "rolled-back"
    ROLLED_BACK_IN_PART = "rolled-back-in-part"  # some hosts could not be taken back, each with an owner and a due date
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """The last word on a change: `closure.json`, and the statement's predicate. `journal` is the head it ends with."""

    format: str
    site: SiteId
    repository: str
    change: ChangeId
    kind: Kind
    system: SystemId
    version: Version
    plan: Digest
    journal: Digest
    entries: int
    ending: Ending
    hosts: Mapping[str, int]
    trust_version: int
    closed: datetime
    closed_by: PersonId
    upgrader: str

    def to_bytes(self) -> bytes:
        return canonical.serialise(plain.to_plain(self))


@dataclass(frozen=True, slots=True)
class Statement:
    """Which files are the evidence of a change, each by its digest, and how the change was closed."""

    closure: Closure
    files: Mapping[str, Digest]

    def to_bytes(self) -> bytes:
        subjects = [{"name": name, "digest": {"sha256": self.files[name].hex}} for name in sorted(self.files)]
        return canonical.serialise(
            {
                "_type": STATEMENT_TYPE,
                "subject": subjects,
                "predicateType": PREDICATE_TYPE,
                "predicate": plain.to_plain(self.closure),
            }
        )


def make_statement(closure: Closure, files: Mapping[str, Digest]) -> Statement:
    """State that `files` are all the evidence of this change.

    Raises ValueError: no file at all, a name that has no place in a bundle, or two that differ in case alone.
    """
    if not files:
        raise ValueError("a statement over no file states nothing")
    if {STATEMENT_FILE, SIGNATURE_FILE} & set(files):
        raise ValueError("the statement can't be a file that it speaks of")
    if len({name.lower() for name in files}) != len(files):
        raise ValueError("two names differ in case alone")
    return Statement(closure, {str(EvidenceName(name)): files[name] for name in sorted(files)})


def read_statement(content: bytes) -> Statement:
    """Read `statement.json`. Raises Integrity `evidence-statement` unless we would write exactly these bytes."""
    try:
        value = canonical.parse(content, name=STATEMENT_FILE, largest=LARGEST_STATEMENT)
        closure = plain.from_plain(Closure, value["predicate"], "predicate")
        files = {item["name"]: Digest(item["digest"]["sha256"]) for item in value["subject"]}
        statement = make_statement(closure, files)
        whole = statement.to_bytes() == content and closure.format == CLOSURE_FORMAT
    except (Refused, ValueError, KeyError, TypeError) as error:
        raise Integrity("evidence-statement", file=STATEMENT_FILE, found=str(error)[:200]) from error
    if not whole:
        raise Integrity("evidence-statement", file=STATEMENT_FILE, found="another form than ours")
    return statement
