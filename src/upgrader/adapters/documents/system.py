"""inventory/group_vars/<group>.yml: what one system of the hospital is, under the key `upgrader_system`.

Ansible reads the same files for the variables of hosts. Our key is read here, strictly; what else stands in such a file
is Ansible's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated

from upgrader.adapters.documents.fields import Bilingual
from upgrader.adapters.documents.fields import System as SystemText
from upgrader.adapters.documents.models import Finding, Model, OpenModel, no_two_alike, problem_at, reads
from upgrader.adapters.documents.reading import Document, invalid, read_document
from upgrader.adapters.documents.values import one_of, whole
from upgrader.adapters.documents.yaml_nodes import Keys
from upgrader.domain.errors import BadInput, Problem
from upgrader.domain.hospital.dependency import Graph
from upgrader.domain.hospital.system import Client, Criticality, Hours, System, Tier, group_of
from upgrader.domain.names import SystemId

KEY = "upgrader_system"
DESCRIBES = re.compile(rb"^upgrader_system[ \t]*:", re.MULTILINE)
OWN_FILE = "system.yml"  # beside other files in a folder of the group's name


def read_systems(files: Mapping[str, bytes]) -> Graph:
    """Read the systems among the files of group_vars, by path; a file that describes no system is left alone.

    Raises BadInput `document-invalid` for the first file that is wrong, with everything that is wrong with it: also a
    system that is needed and unknown, and systems that need each other in a circle.
    """
    documents = [_read(content, path) for path, content in sorted(files.items()) if DESCRIBES.search(content)]
    by_id = {document.model.upgrader_system.id: document for document in documents}
    try:
        return Graph.of(document.model.upgrader_system.to_domain() for document in documents)
    except BadInput as error:
        document = by_id[SystemId(error.fields["system"])]
        raise invalid(document.file, [_at_value(document, error)]) from error


class _System(Model):
    id: SystemText
    number: Annotated[int, reads(whole(1, 9999))]
    name: Bilingual
    tiers: Annotated[tuple[Annotated[Tier, reads(one_of(Tier))], ...], no_two_alike()]
    clients: Annotated[tuple[Annotated[Client, reads(one_of(Client))], ...], no_two_alike()]
    hours: Annotated[Hours, reads(one_of(Hours))]
    criticality: Annotated[Criticality, reads(one_of(Criticality))]
    depends_on: Annotated[tuple[SystemText, ...], no_two_alike()] = ()
    stands_in_for: SystemText | None = None
    databases: Annotated[tuple[SystemText, ...], no_two_alike()] = ()
    interfaces: Annotated[tuple[SystemText, ...], no_two_alike()] = ()

    def findings(self) -> Iterator[Finding]:
        if not self.tiers and not self.clients:
            yield Finding(("tiers",), "empty-not-allowed", {})

    def to_domain(self) -> System:
        return System(
            id=self.id,
            number=self.number,
            name=self.name.as_mapping(),
            tiers=self.tiers,
            clients=self.clients,
            hours=self.hours,
            criticality=self.criticality,
            depends_on=self.depends_on,
            stands_in_for=self.stands_in_for,
            databases=tuple(map(str, self.databases)),
            interfaces=tuple(map(str, self.interfaces)),
        )


class _GroupVariables(OpenModel):
    upgrader_system: _System


def _read(content: bytes, file: str) -> Document[_GroupVariables]:
    def wrong_group(root: Keys) -> Sequence[Finding]:
        described = root.get(KEY)
        found = described.get("id") if isinstance(described, Keys) else None
        expected = _group_in(file)
        if isinstance(found, str) and group_of(found) != expected:
            return [Finding((KEY, "id"), "system-elsewhere", {"found": found, "expected": expected})]
        return []

    return read_document(_GroupVariables, content, file, template_marks_allowed=False, across=wrong_group)


def _group_in(file: str) -> str:
    path = PurePosixPath(file)
    return path.parent.name if path.name == OWN_FILE else path.stem


def _at_value(document: Document[_GroupVariables], error: BadInput) -> Problem:
    """The problem at the name that is wrong, where the system says whom it needs."""
    described, found = document.model.upgrader_system, error.fields.get("found")
    at: tuple[str | int, ...] = (KEY, "stands_in_for") if described.stands_in_for == found else (KEY, "depends_on")
    if found in described.depends_on:
        at = (KEY, "depends_on", described.depends_on.index(found))
    match error.code:
        case "dependency-unknown":
            return problem_at(document.file, document.root, at, "dependency-unknown", error.fields)
        case "dependency-cycle":
            return problem_at(document.file, document.root, at, "dependency-cycle", error.fields)
        case "system-twice":
            return problem_at(document.file, document.root, (KEY, "id"), "duplicate-value", {"found": described.id})
        case _:
            return problem_at(document.file, document.root, at, "stand-in-for-itself", error.fields)
