"""Take each rule of the gate out, one at a time, and see whether a test notices. By hand: docs/trust.md says when.

A site is one `raise Refused(...)` (or Integrity, OutsideWindow, PreflightFailed, BadInput), or one `Fault(...)` that is
given, yielded or collected. In a copy of the source the raise does nothing and the fault is not there; the tests that
name its code, and those of its module (units and contracts; with --stories the stories too) then have to fail. A test
module that is red in the copy before anything was taken out counts for nothing. What no test notices is listed, exit 1.

    nice python tests/take_rules_out.py [--stories] [--only domain/approval/trust.py]
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = Path("src") / "upgrader"
GUARDS = (
    "domain/canonical",
    *(f"domain/approval/{noun}" for noun in ("authorization", "record", "trust")),
    "domain/changes/plan",
    "domain/papers/paper",
    "domain/releases/known_bad",
    "flow/applying/apply",
    "flow/approval/authorize",
    "flow/planning/materials",
    *(f"adapters/git/{part}" for part in ("exported_tree", "git_mirror", "git_objects")),
    "adapters/state/bundle",
    *(f"adapters/trust/{part}" for part in ("ssh_signatures", "trust_files")),
)
MODULES = (
    *(f"{guard}.py" for guard in GUARDS),
    *(
        path.relative_to(ROOT / SOURCE).as_posix()
        for path in sorted((ROOT / SOURCE / "adapters/archives").glob("*.py"))
    ),
)
ERRORS = frozenset({"Refused", "Integrity", "OutsideWindow", "PreflightFailed", "BadInput"})
LAYERS = ("unit", "contracts")
SECONDS = 240  # for the tests of one code


@dataclass(frozen=True, slots=True)
class Site:
    """One place where a rule says no. `without` is the module as it would be without it."""

    module: str
    line: int
    code: str
    without: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.code}"


def sites_of(module: str) -> Iterator[Site]:
    source = (ROOT / SOURCE / module).read_text(encoding="utf-8")
    for statement in ast.walk(ast.parse(source)):
        if not isinstance(statement, ast.stmt):
            continue
        for call, code in _refusals(statement):
            yield Site(module, call.lineno, code, _without(source, statement, call))


def _refusals(statement: ast.stmt) -> Iterator[tuple[ast.Call, str]]:
    """The refusals that this statement itself raises or gives, not those of the statements in it."""
    own: list[ast.AST] = [statement]
    while own:
        node = own.pop()
        own += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        code = node.args[0]
        if isinstance(code, ast.Constant) and isinstance(code.value, str):
            raised = isinstance(statement, ast.Raise) and node.func.id in ERRORS
            if raised or node.func.id == "Fault":
                yield node, code.value


def _without(source: str, statement: ast.stmt, call: ast.Call) -> str:
    """The statement is `pass`; a fault that is returned or chosen in an expression is None in its place."""
    alone = isinstance(statement, ast.Raise | ast.Expr)
    out: ast.stmt | ast.Call = statement if alone else call
    lines = source.encode().splitlines(keepends=True)
    assert out.end_lineno is not None
    assert out.end_col_offset is not None
    before = b"".join(lines[: out.lineno - 1]) + lines[out.lineno - 1][: out.col_offset]
    after = lines[out.end_lineno - 1][out.end_col_offset :] + b"".join(lines[out.end_lineno :])
    return (before + (b"pass" if alone else b"None") + after).decode()


def tests_of(site: Site, layers: Sequence[str]) -> list[str]:
    """The test modules that name its code, and those of its module; the quick ones first."""
    own = f"test_{Path(site.module).stem}"
    return [
        str(path.relative_to(ROOT))
        for layer in layers
        for path in sorted((ROOT / "tests" / layer).rglob("test_*.py"))
        if path.stem.startswith(own) or re.search(f"\\b{site.code}\\b(?!-)", path.read_text(encoding="utf-8"))
    ]


class Copy:
    """A copy of the project in which rules are taken out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._green: dict[str, bool] = {}
        unwanted = shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__", "build", "dist")
        shutil.copytree(ROOT, folder, symlinks=True, ignore=unwanted)

    def is_noticed(self, site: Site, tests: Sequence[str]) -> bool:
        """Whether a test that passes with the rule fails, or waits for ever, without it."""
        able = [test for test in tests if self._is_green(test)]
        if not able:
            return False
        changed = self._folder / SOURCE / site.module
        whole = changed.read_bytes()
        changed.write_text(site.without, encoding="utf-8")
        try:
            return not self._pass(able)
        finally:
            changed.write_bytes(whole)

    def _is_green(self, test: str) -> bool:
        if test not in self._green:
            self._green[test] = self._pass([test])
            if not self._green[test]:
                sys.stderr.write(f"red before anything was taken out: {test}\n")
        return self._green[test]

    def _pass(self, tests: Sequence[str]) -> bool:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *tests]
        paths = os.pathsep.join(str(self._folder / part) for part in ("src", "tests"))
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=environment, capture_output=True, check=False, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--stories", action="store_true", help="let the stories notice, too (hours)")
    asked.add_argument("--only", action="append", metavar="MODULE", help="such as domain/approval/trust.py")
    chosen = asked.parse_args()
    layers = (*LAYERS, "stories") if chosen.stories else LAYERS
    noticed, left = 0, []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder) / "copy")
        for module in chosen.only or MODULES:
            for site in sites_of(module):
                tests = tests_of(site, layers)
                if copy.is_noticed(site, tests):
                    noticed += 1
                    sys.stderr.write(f"noticed {site}\n")
                else:
                    left.append(site)
                    sys.stderr.write(f"NOBODY  {site} (asked: {' '.join(tests) or 'no test names it'})\n")
    sys.stdout.write(f"{noticed + len(left)} sites, {noticed} noticed, {len(left)} not\n")
    sys.stdout.writelines(f"  {site}\n" for site in left)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
