"""What release.yml says for one strategy only: `package:` and `files:`, and what each strategy asks of the rest."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from upgrader.adapters.documents.fields import Inside
from upgrader.adapters.documents.models import Finding, Model, no_two_alike, reads, written_as
from upgrader.adapters.documents.values import matching, one_of, seconds, text, wrong
from upgrader.adapters.documents.yaml_nodes import describe
from upgrader.domain.digest import Digest
from upgrader.domain.releases.build_kind import BuildKind, kind_of_name
from upgrader.domain.releases.release import (
    FilesTerms,
    HeldPackages,
    PackageTerms,
    ReplacedFile,
    Strategy,
    UnfinishedPackages,
)

# deb-version(7) without the epoch, and the names that dpkg-name gives: NAME_VERSION_ARCHITECTURE.deb
PACKAGE_FILE = re.compile(r"([a-z0-9][a-z0-9+.-]+)_([0-9A-Za-z][0-9A-Za-z.+~-]*)_([a-z0-9][a-z0-9-]*)\.deb")
FOLDER = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
NEW = "new"


def package_name(node: object) -> str:
    name: str = matching(r"[a-z0-9][a-z0-9+.-]{1,63}", "hl7-gateway", str)(node)
    return name


def host_folder(node: object) -> str:
    """A folder on the host by its full path: plain characters, never upwards, and not the root itself."""
    found = text(node)
    if len(found) > 200 or not FOLDER.fullmatch(found) or {".", ".."} & set(found.split("/")):
        raise wrong("wrong-form", expected="/srv/lis", found=describe(found))
    return found


def replaced_digest(node: object) -> Digest | None:
    """The SHA-256 of the file that is replaced, or `new`."""
    found = text(node)
    if found == NEW:
        return None
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        raise wrong("wrong-form", expected="e3b0c442…7852b855 (64) | new", found=describe(found))
    return Digest(found)


class PackageModel(Model):
    """`package:` in release.yml."""

    name: Annotated[str, reads(package_name)]
    held: Annotated[HeldPackages, reads(one_of(HeldPackages))]
    unfinished: Annotated[UnfinishedPackages, reads(one_of(UnfinishedPackages))]
    limit: Annotated[int, reads(seconds(1, 3600))]
    lock_wait: Annotated[int, reads(seconds(0, 3600))]
    restore: Annotated[tuple[Inside, ...], no_two_alike()] = ()

    def to_domain(self) -> PackageTerms:
        return PackageTerms(
            name=self.name,
            held=self.held,
            unfinished=self.unfinished,
            restore=self.restore,
            limit_seconds=self.limit,
            lock_seconds=self.lock_wait,
        )


class FilesModel(Model):
    """`files:` in release.yml."""

    target: Annotated[str, reads(host_folder)] | None = None
    version_file: Annotated[Inside | None, written_as("version")] = None
    replaces: dict[Inside, Annotated[Digest | None, reads(replaced_digest)]] | None = None

    def findings(self) -> Iterator[Finding]:
        if self.target is not None and self.version_file is None:
            yield Finding((), "missing-key", {"key": "version"})
        if self.target is None and self.version_file is not None:
            yield Finding(("version",), "not-for-this-strategy", {"found": "files", "expected": "target"})

    def to_domain(self) -> FilesTerms:
        replaced = tuple(ReplacedFile(path, digest) for path, digest in sorted((self.replaces or {}).items()))
        return FilesTerms(self.target or "", self.version_file or "", replaced)


def strategy_findings(
    strategy: Strategy,
    version: str,
    builds: Sequence[str],
    unit: str | None,
    script: str | None,
    terms: Mapping[Strategy, Model | None],
) -> Iterator[Finding]:
    """What does not go together with the strategy. `builds` are the builds' file names."""
    for other, found in terms.items():
        if found is not None and other is not strategy:
            yield Finding((other.value,), "not-for-this-strategy", {"found": strategy.value, "expected": other.value})
    if strategy in terms and terms[strategy] is None:
        yield Finding((), "missing-key", {"key": strategy.value})
    if strategy in (Strategy.ARCHIVE, Strategy.FILES) and len(builds) != 1:
        yield Finding(("builds", 1), "one-build-only", {"found": len(builds), "strategy": strategy.value})
    brings_program = any(kind_of_name(file) is BuildKind.TAR for file in builds)
    if strategy is Strategy.ARCHIVE or (strategy is Strategy.DATABASE and brings_program):
        for key, path in {"unit": unit, "script": script}.items():
            if path is None:
                yield Finding(("service",), "missing-key", {"key": key})
    elif unit is not None and strategy in terms:
        yield Finding(("service", "unit"), "not-for-this-strategy", {"found": strategy.value, "expected": "archive"})
    package = terms.get(Strategy.PACKAGE)
    if strategy is Strategy.PACKAGE and isinstance(package, PackageModel):
        yield from _package_findings(package.name, version, builds)


def _package_findings(name: str, version: str, builds: Sequence[str]) -> Iterator[Finding]:
    """Each build is named as dpkg-name names it, and one of them is the package whose version is the release's."""
    named = [PACKAGE_FILE.fullmatch(file) for file in builds]
    for number, match in enumerate(named):
        if match is None:
            fields = {"expected": f"{name}_{version}_amd64.deb", "found": builds[number]}
            yield Finding(("builds", number, "file"), "wrong-form", fields)
    if all(named) and (name, version) not in [(match[1], match[2]) for match in named if match]:
        yield Finding(("package", "name"), "package-not-among-builds", {"expected": f"{name}_{version}_….deb"})
