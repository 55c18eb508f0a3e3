"""Reading a document: bytes to a checked model, or everything that is wrong with it at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic

from upgrader.adapters.documents.models import M, validate
from upgrader.adapters.documents.yaml_nodes import Keys, read_page
from upgrader.domain.errors import BadInput, Problem

MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A document that fits its model. `root` keeps the places, for what can only be judged later."""

    file: str
    model: M
    root: Keys


def read_document(kind: type[M], content: bytes, file: str, *, template_marks_allowed: bool = True) -> Document[M]:
    """Read a document of one kind. Raises BadInput `document-invalid` with all problems, in the order of the file."""
    page = read_page(content, file, template_marks_allowed=template_marks_allowed)
    problems = page.problems
    if page.root is not None:
        model, found = validate(kind, page.root, file)
        told = {(problem.line, problem.column) for problem in problems}
        problems += tuple(
            problem for problem in found if problem.code == "missing-key" or (problem.line, problem.column) not in told
        )
        if model is not None and not problems:
            return Document(file, model, page.root)
    raise invalid(file, problems)


def invalid(file: str, problems: Iterable[Problem]) -> BadInput:
    """The one error for a document that a person has to mend."""
    in_order = sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.code))
    return BadInput("document-invalid", in_order[:MOST_TOLD], file=file, count=len(in_order))
