"""Reading a document: bytes to a checked model, or everything that is wrong with it at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic

from upgrader.adapters.documents.models import Finding, M, problem_at, validate
from upgrader.adapters.documents.yaml_nodes import Keys, read_page
from upgrader.domain.errors import BadInput, Problem

MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class Document(Generic[M]):
    """A document that fits its model. `root` keeps the places, for what can only be judged later."""

    file: str
    model: M
    root: Keys


def read_document(
    kind: type[M],
    content: bytes,
    file: str,
    *,
    template_marks_allowed: bool = True,
    across: Callable[[Keys], Iterable[Finding]] = lambda root: (),
) -> Document[M]:
    """Read a document of one kind. Raises BadInput `document-invalid` with all problems, in the order of the file.

    `across` finds what is wrong between values that stand far apart; it is asked even where some values are wrong
    by themselves, so that everything is told in one round.
    """
    page = read_page(content, file, template_marks_allowed=template_marks_allowed)
    problems = page.problems
    if page.root is not None:
        model, found = validate(kind, page.root, file)
        problems = _with_new(problems, found)
        between = (problem_at(file, page.root, f.at, f.code, f.fields) for f in across(page.root))
        problems = _with_new(problems, between)
        if model is not None and not problems:
            return Document(file, model, page.root)
    raise invalid(file, problems)


def _with_new(problems: tuple[Problem, ...], found: Iterable[Problem]) -> tuple[Problem, ...]:
    """Add what was found, save at places where something is told already: it would only follow from that."""
    told = {(problem.line, problem.column) for problem in problems}
    return problems + tuple(p for p in found if p.code == "missing-key" or (p.line, p.column) not in told)


def invalid(file: str, problems: Iterable[Problem]) -> BadInput:
    """The one error for a document that a person has to mend."""
    in_order = sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.code))
    return BadInput("document-invalid", in_order[:MOST_TOLD], file=file, count=len(in_order))
