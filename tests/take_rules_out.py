"""Take each rule of the gate out, one at a time, and see whether a test notices. By hand: docs/trust.md says when.

A site is one `raise Refused(...)` (or Integrity, OutsideWindow, PreflightFailed, BadInput), or one `Fault(...)` that is
given, yielded or collected. All unit tests, and the contracts that name a code of the sites or are named after their
module, run once and it is written down which test reaches which line (tests/lines_reached.py). Then, in a copy of the
source, each raise does nothing and each fault is not there, and one of the tests that reach it and passed has to fail.
What no test notices is listed, exit 1.

    nice python tests/take_rules_out.py [--only trust.py]
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = Path("src") / "upgrader"
MODULES = tuple(
    f"{guard}.py"
    for guard in (
        "domain/canonical",
        *(
            f"domain/approval/{noun}"
            for noun in ("authorization", "debt", "enrolment", "record", "trust", "trust_change")
        ),
        *(f"domain/changes/{noun}" for noun in ("journal", "lifecycle", "plan")),
        *(f"domain/papers/{noun}" for noun in ("evidence", "paper")),
        *(f"domain/releases/{noun}" for noun in ("correction", "known_bad")),
        "flow/applying/apply",
        "flow/approval/authorize",
        "flow/planning/materials",
        *(f"adapters/archives/{part}" for part in ("__init__", "member", "names", "tar_archive", "zip_archive")),
        *(f"adapters/builds/{part}" for part in ("build_inspection", "build_store", "debian_package", "vendor_drop")),
        *(f"adapters/git/{part}" for part in ("exported_tree", "git_mirror", "git_objects")),
        *(f"adapters/hosts/{part}" for part in ("inventory", "known_hosts")),
        *(f"adapters/state/{part}" for part in ("brake_files", "bundle", "journal_file", "locks")),
        *(f"adapters/trust/{part}" for part in ("secret_files", "ssh_signatures", "trust_files")),
    )
)
ERRORS = frozenset({"Refused", "Integrity", "OutsideWindow", "PreflightFailed", "BadInput"})
SECONDS = 240  # for the tests that reach one site
MOST_TESTS = 200


@dataclass(frozen=True, slots=True)
class Site:
    """One place where a rule says no. `without` is the module as it would be without it."""

    module: str
    line: int
    last: int
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
            yield Site(module, call.lineno, call.end_lineno or call.lineno, code, _without(source, statement, call))


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


@dataclass(frozen=True, slots=True)
class Test:
    """A test that passes with every rule in its place."""

    id: str
    seconds: float
    lines: frozenset[tuple[str, int]]

    def reaches(self, site: Site) -> bool:
        return any((site.module, line) in self.lines for line in range(site.line, site.last + 1))


def files_of(sites: Sequence[Site]) -> list[str]:
    """The unit tests, and the contracts that name one of the codes or are named after a module of the sites."""
    code = re.compile("|".join(f"\\b{code}\\b(?!-)" for code in sorted({site.code for site in sites})))
    named = tuple(f"test_{Path(module).stem}" for module in {site.module for site in sites})
    return [
        "tests/unit",
        *(
            str(path.relative_to(ROOT))
            for path in sorted((ROOT / "tests" / "contracts").glob("test_*.py"))
            if path.stem.startswith(named) or code.search(path.read_text(encoding="utf-8"))
        ),
    ]


class Copy:
    """A copy of the project in which rules are taken out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        unwanted = shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__", "build", "dist")
        shutil.copytree(ROOT, folder, symlinks=True, ignore=unwanted)

    def tests(self, files: Sequence[str], modules: Iterable[str]) -> list[Test]:
        """Run all tests of some files once, and tell what each that passed reaches; the quick ones first."""
        out = self._folder / "lines_reached.json"
        asked = {"SOURCE": str(self._folder / SOURCE), "IN": "\n".join(modules), "OUT": str(out)}
        told = self._pytest(
            ["-p", "lines_reached", *files], {f"LINES_REACHED_{name}": text for name, text in asked.items()}
        )
        sys.stderr.write(told.stdout.decode(errors="replace")[-2000:])
        tests = [
            Test(id, found["seconds"], frozenset((module, line) for module, line in found["lines"]))
            for id, found in json.loads(out.read_text(encoding="utf-8")).items()
        ]
        return sorted(tests, key=lambda test: test.seconds)

    def is_noticed(self, site: Site, tests: Sequence[Test]) -> bool:
        """Whether one of the tests that reach it fails, or waits for ever, without it."""
        reaching = [test.id for test in tests if test.reaches(site)][:MOST_TESTS]
        if not reaching:
            return False
        changed = self._folder / SOURCE / site.module
        whole = changed.read_bytes()
        changed.write_text(site.without, encoding="utf-8")
        try:
            return self._pytest(["-x", *reaching], {}, SECONDS).returncode != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            changed.write_bytes(whole)

    def _pytest(
        self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "--no-header", *arguments]
        paths = os.pathsep.join(str(self._folder / part) for part in ("src", "tests"))
        environment = {**os.environ, **environment, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, check=False, timeout=seconds
        )


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", action="append", metavar="MODULE", help="such as trust.py")
    only = tuple(asked.parse_args().only or [".py"])
    sites = [site for module in MODULES if module.endswith(only) for site in sites_of(module)]
    left = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder) / "copy")
        tests = copy.tests(files_of(sites), {site.module for site in sites})
        for site in sites:
            if copy.is_noticed(site, tests):
                sys.stderr.write(f"noticed {site}\n")
            else:
                left.append(site)
                sys.stderr.write(f"NOBODY  {site} ({sum(test.reaches(site) for test in tests)} tests reach it)\n")
            sys.stderr.flush()
    sys.stdout.write(f"{len(sites)} sites, {len(sites) - len(left)} noticed, {len(left)} not\n")
    sys.stdout.writelines(f"  {site}\n" for site in left)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
