"""A jump over several versions, link by link, and the way back over all of it: for every strategy that has one.

The links keep so many versions as plans of a chain ask for (`domain/changes/joint.py`), beginning with the fewest.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from contracts.deb_host import MISSING, DebHost, make_deb
from contracts.place_host import PlaceHost, make_place
from contracts.postgres_cluster import Cluster, postgres_cluster, programs
from contracts.sh_host import SYSTEM, Build, ShHost, make_build, pack, whole_script
from contracts.upgraded_database import UpgradedDatabase, prepare, upgraded_database
from upgrader.domain.changes.joint import JointPart, kept
from upgrader.domain.names import ChangeId, SystemId, Version

DASH, PATH = shutil.which("dash") or "/bin/sh", "/usr/bin:/bin"
VERSIONS = ("2.0", "3.0", "4.0")
CHAIN = tuple(
    JointPart(ChangeId(f"CHG-2026-{number:04d}"), SystemId(SYSTEM), Version(version))
    for number, version in enumerate(VERSIONS, start=1)
)


@dataclass
class Chained:
    """A host with version 1.0, the builds of the links, and what is looked at to see that all is as it was."""

    host: ShHost
    builds: Sequence[Build]
    everything: Callable[[], object]
    replaces: Sequence[str] = ("", "", "")


def tree(folder: Path, but: str = "") -> dict[str, str]:
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and but not in path.parts]
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def archive(folder: Path) -> Iterator[Chained]:
    host = ShHost(folder, DASH, PATH)
    host.install(make_build(folder, "1.0"))
    yield Chained(host, [make_build(folder, v) for v in VERSIONS], lambda: tree(host.root / "current" / "."))
    host.end()


def packages(folder: Path) -> Iterator[Chained]:
    if MISSING:
        pytest.skip(f"NO PACKAGES TRIED: missing {', '.join(MISSING)}")
    host = DebHost(folder, DASH, PATH)
    host.make_system()
    host.install(make_deb(folder, "1.0"))
    host.file(f"etc/{SYSTEM}/main.conf").write_text("colour=red\n")
    builds = [make_deb(folder, v, default=f"colour={v}") for v in VERSIONS]
    yield Chained(host, builds, lambda: (host.installed(SYSTEM), tree(host.file("etc") / SYSTEM)))
    host.end()


def in_place(folder: Path) -> Iterator[Chained]:
    host = PlaceHost(folder, DASH, PATH)
    host.target.mkdir(parents=True)
    host.install(make_place(folder, "1.0"))
    yield Chained(host, [make_place(folder, v) for v in VERSIONS], lambda: tree(host.target, but="data"))
    host.end()


@dataclass
class OverVersion(ShHost):
    """Its system came as an archive; sets of files make further versions of it."""

    @property
    def text(self) -> str:
        return whole_script("files")


def files(folder: Path) -> Iterator[Chained]:
    ShHost(folder, DASH, PATH).install(make_build(folder, "1.0", **{"web/page": "1.0\n"}))
    host = OverVersion(folder, DASH, PATH)
    sets = [Build(pack(folder / f"{SYSTEM}-{v}.tar.gz", {"web/page": f"{v}\n"}), v) for v in VERSIONS]
    page = host.root / "current/web/page"
    first = f"replaces={hashlib.sha256(page.read_bytes()).hexdigest()} web/page\n"
    yield Chained(host, sets, lambda: tree(host.root / "current" / "."), (first, "", ""))
    host.end()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster | None]:
    if programs() is None:
        yield None
        return
    with postgres_cluster() as cluster:
        prepare(cluster)
        yield cluster


def database(cluster: Cluster | None, folder: Path) -> Iterator[Chained]:
    if cluster is None:
        pytest.skip("NO DATABASE TRIED: postgresql is not installed; run tools/system-packages as root")
    for host in upgraded_database(cluster, folder, DASH, PATH):
        host.install_by_hand(host.program("1.0", host.sql("SELECT 1")))
        steps = [f"ALTER TABLE result ADD COLUMN of_{number} integer DEFAULT {number}" for number in range(3)]
        builds = [host.program(v, host.sql(sql)) for v, sql in zip(VERSIONS, steps, strict=True)]
        yield Chained(host, builds, partial(UpgradedDatabase.everything, host))


@pytest.fixture(params=[archive, packages, in_place, files, database], ids=lambda make: make.__name__)
def chained(request: pytest.FixtureRequest, cluster: Cluster | None, tmp_path: Path) -> Iterator[Chained]:
    yield from request.param(cluster, tmp_path) if request.param is database else request.param(tmp_path)


def test_a_chain_goes_up_link_by_link_and_all_the_way_back(chained: Chained) -> None:
    host, seen, running = chained.host, [], ["1.0"]
    links = list(zip(CHAIN, chained.builds, chained.replaces, strict=True))
    for part, build, replaces in links:
        seen.append(chained.everything())
        host.extra = replaces
        link = {"key": f"{part.change}.0123456789ab", "keep": kept(1, part.change, CHAIN)}
        up = host.apply(build, base=running[-1], **link)
        confirmed = host.run("confirm", build, **link)
        assert (up["outcome"], up["current"], confirmed["outcome"]) == ("upgraded", part.version, "upgraded"), up
        running.append(part.version)
    host.extra = ""
    assert len({str(one) for one in seen}) == len(seen)

    for place, (part, build, _) in reversed(list(enumerate(links))):
        back = host.run("revert", build, key=f"{part.change}.0123456789ab", keep=kept(1, part.change, CHAIN))
        assert (back["outcome"], back["current"]) == ("rolled-back", running[place]), back
        assert chained.everything() == seen[place]
    assert host.service_runs()
