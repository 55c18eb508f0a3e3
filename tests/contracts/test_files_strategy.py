"""Partial upgrades: a set of files over an installed version, or over a folder that nobody versions, and back again."""

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.place_host import PlaceHost, service_text
from contracts.sh_host import SYSTEM, Build, ShHost, make_build, pack, whole_script

LATER = "CHG-2026-0002.0123456789ab"
INTO_VERSION = whole_script("files")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_set(folder: Path, version: str, **files: str | bytes) -> Build:
    return Build(pack(folder / f"{SYSTEM}-{version}-{len(list(folder.iterdir()))}.tar.gz", files), version)


@dataclass
class VersionHost(ShHost):
    """A host whose system came as an archive; `files` works on it."""

    @property
    def text(self) -> str:
        return INTO_VERSION

    def install_archive(self, build: Build) -> None:
        ShHost(self.folder, self.shell, self.path, self.id).install(build)


@pytest.fixture
def versions(host: ShHost) -> VersionHost:
    made = VersionHost(host.folder, host.shell, host.path, host.id)
    made.install_archive(make_build(host.folder, "1.0", **{"web/page": "first\n", "web/style": "blue\n"}))
    return made


def replaced(host: ShHost, *paths: str) -> str:
    """The inputs that say what the replaced files are, as the vendor knows them."""
    home = host.root / "current"
    return "".join(f"replaces={digest(home / path)} {path}\n" for path in paths)


def apply(host: ShHost, build: Build, replaces: str, **inputs: Any) -> dict[str, Any]:
    """As `ShHost.apply`, with the lines that say what is replaced."""
    host.extra = replaces
    return host.apply(build, base="1.0", key=LATER, **inputs)


def test_a_set_of_files_makes_a_whole_new_version_and_goes_back(versions: VersionHost) -> None:
    patch = make_set(
        versions.folder, "1.1", **{"web/page": "second\n", "web/new/page": "new\n", "etc/site.conf.in": "at @home@\n"}
    )
    old = versions.root / "versions/1.0"

    fact = apply(versions, patch, replaced(versions, "web/page", "etc/site.conf.in"))
    versions.run("confirm", patch, key=LATER)

    home = versions.root / "versions/1.1"
    assert (fact["outcome"], fact["from"], fact["current"], fact["digest"]) == ("upgraded", "1.0", "1.1", patch.sha256)
    assert (home / "web/page").read_text() == "second\n"
    assert (home / "web/new/page").read_text() == "new\n"
    assert (home / "web/style").read_text() == "blue\n"
    assert (home / "etc/site.conf").read_text() == f"at {home}\n"
    assert (old / "web/page").read_text() == "first\n"
    assert versions.service_runs()

    back = versions.run("revert", patch, key=LATER)
    assert (back["outcome"], versions.current, versions.service_runs()) == ("rolled-back", "1.0", True)


@pytest.mark.parametrize(
    ("prepare", "replaces", "because"),
    [
        (lambda home: (home / "web/page").write_text("by hand"), None, "changed by hand"),
        (lambda home: (home / "web/page").unlink(), None, "is gone"),
        (lambda home: None, "", "neither the release nor this host knows"),
        (lambda home: None, "replaces=new web/page\n", "on this host already"),
        (lambda home: None, f"replaces={'0' * 64} web/other\n", "not in the build"),
    ],
    ids=["changed by hand", "gone", "known to nobody", "not new", "not in the build"],
)
def test_what_is_not_as_it_should_be_is_refused_before_the_change(
    versions: VersionHost, prepare: Any, replaces: str | None, because: str
) -> None:
    told = replaced(versions, "web/page") if replaces is None else replaces
    if "web/other" in told:
        told += replaced(versions, "web/page")
    prepare(versions.root / "current")

    fact = apply(versions, make_set(versions.folder, "1.1", **{"web/page": "second\n"}), told)

    assert (fact["outcome"], fact["step"], fact["current"]) == ("failed", "replaced", "1.0")
    assert because in fact["detail"]
    assert versions.service_runs()
    assert [path.name for path in (versions.root / "versions").iterdir()] == ["1.0"]


def test_a_second_set_of_files_knows_what_the_first_one_put_there(versions: VersionHost) -> None:
    first = make_set(versions.folder, "1.1", **{"web/page": "second\n"})
    second = make_set(versions.folder, "1.2", **{"web/page": "third\n"})
    apply(versions, first, replaced(versions, "web/page"))
    versions.run("confirm", first, key=LATER)
    versions.extra = ""

    fact = versions.apply(second, base="1.1", key="CHG-2026-0003.x")

    assert (fact["outcome"], fact["current"]) == ("upgraded", "1.2")


def test_an_ill_set_of_files_is_taken_back(versions: VersionHost) -> None:
    patch = make_set(versions.folder, "1.1", **{"bin/health": "#!/bin/sh\nexit 1\n"})

    fact = apply(versions, patch, replaced(versions, "bin/health"))

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", "health", "1.0")
    assert versions.service_runs()


@pytest.fixture
def place(host: ShHost) -> Iterator[PlaceHost]:
    made = PlaceHost(host.folder, host.shell, host.path, host.id)
    files = {
        "VERSION": "1.0\n",
        "bin/service": service_text("1.0"),
        "bin/health": "#!/bin/sh\nexit 0\n",
        "web/page 页": "first\n",
        "etc/site.conf": "by the site\n",
        "data/rows": "one\n",
    }
    for name, content in files.items():
        path = made.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755 if name.startswith("bin/") else 0o640)
    yield made
    made.end()


def new_files(health: str = "exit 0", version: str = "1.1\n") -> dict[str, str]:
    return {
        "VERSION": version,
        "web/page 页": "second\n",
        "web/neu/deep/page": "new\n",
        "bin/health": f"#!/bin/sh\n{health}\n",
        "etc/site.conf.in": "address=@address@\n",
    }


def as_vendor_knows(place: PlaceHost) -> str:
    return "".join(f"replaces={digest(place.target / p)} {p}\n" for p in ("VERSION", "web/page 页", "bin/health"))


def everything(place: PlaceHost) -> dict[str, tuple[int, str]]:
    files = [path for path in place.target.rglob("*") if path.is_file() and "data" not in path.parts]
    return {str(p.relative_to(place.target)): (p.stat().st_mode, p.read_text()) for p in files}


def test_files_are_replaced_in_place_and_all_is_as_before_after_the_way_back(place: PlaceHost) -> None:
    before = everything(place)
    patch = make_set(place.folder, "1.1", **new_files())

    fact = apply(place, patch, as_vendor_knows(place))
    place.run("confirm", patch, key=LATER)
    again = apply(place, patch, "")

    assert (fact["outcome"], fact["from"], fact["current"], fact["digest"]) == ("upgraded", "1.0", "1.1", patch.sha256)
    assert again["outcome"] == "unchanged"
    assert (place.target / "web/page 页").read_text() == "second\n"
    assert (place.target / "etc/site.conf").read_text() == "address=10.0.0.1 & <\\co>\n"
    assert (place.target / "web/neu/deep/page").read_text() == "new\n"
    assert (place.target / "bin/health").stat().st_mode & 0o777 == 0o755
    assert place.service_runs()

    back = place.run("revert", patch, key=LATER)
    assert (back["outcome"], place.current, place.service_runs()) == ("rolled-back", "1.0", True)
    assert everything(place) == before
    assert not (place.target / "web/neu").exists()


@pytest.mark.parametrize(
    ("files", "step"),
    [(new_files(health="exit 1"), "health"), (new_files(version="1.2\n"), "switch")],
    ids=["not healthy", "another version than it says"],
)
def test_files_that_do_not_work_are_taken_back(place: PlaceHost, files: dict[str, str], step: str) -> None:
    before = everything(place)

    fact = apply(place, make_set(place.folder, "1.1", **files), as_vendor_knows(place))

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", step, "1.0")
    assert everything(place) == before
    assert place.service_runs()


def test_nothing_is_replaced_over_a_link_or_a_file_that_was_changed(place: PlaceHost) -> None:
    told = as_vendor_knows(place)
    patch = make_set(place.folder, "1.1", **new_files())
    (place.target / "web/page 页").write_text("by hand")
    changed = apply(place, patch, told)
    (place.target / "web").rename(place.target / "www")
    (place.target / "web").symlink_to("www")
    linked = apply(place, patch, told)

    assert (changed["outcome"], changed["step"], changed["changed"]) == ("failed", "replaced", False)
    assert "changed by hand" in changed["detail"]
    assert (linked["outcome"], linked["step"]) == ("failed", "replaced")
    assert "link" in linked["detail"]
    assert place.current == "1.0"
    assert not list(place.target.rglob("*.upgrader-*"))


@pytest.mark.parametrize("moment", ["began", "armed", "switch-started", "healthy"])
def test_power_lost_at_any_fact_ends_in_one_whole_set(place: PlaceHost, moment: str) -> None:
    before = everything(place)
    place.extra = as_vendor_knows(place)
    patch = make_set(place.folder, "1.1", **new_files())
    place.send(patch)
    place.run_crashing("apply", patch, moment, base="1.0", key=LATER)
    place.end()
    journal = place.state / "journal"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    journal.write_text(journal.read_text().replace(boot, "00000000-0000-0000-0000-000000000000"))

    fact = place.apply(patch, base="1.0", key=LATER)
    assert (fact["outcome"], place.current, place.service_runs()) == ("upgraded", "1.1", True)

    place.run("revert", patch, key=LATER)
    assert everything(place) == before
    assert not list(place.target.rglob("*.upgrader-*"))


def test_a_host_taken_back_before_the_first_file_was_replaced_still_knows_its_build(place: PlaceHost) -> None:
    place.extra = as_vendor_knows(place)
    first = make_set(place.folder, "1.1", **new_files())
    place.apply(first, base="1.0")
    place.run("confirm", first)
    place.extra = ""
    second = make_set(place.folder, "1.2", **new_files(version="1.2\n"))
    place.send(second)
    place.run_crashing("apply", second, "switch-started", base="1.1", key=LATER)

    place.run("revert", second, key=LATER)

    told = place.run("status", first)
    assert (told["current"], told["digest"]) == ("1.1", first.sha256)


def test_a_zip_is_a_set_of_files_too(place: PlaceHost) -> None:
    path = place.folder / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in new_files().items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (0o100755 if name.startswith("bin/") else 0o100644) << 16
            archive.writestr(info, content)

    fact = apply(place, Build(path, "1.1"), as_vendor_knows(place))

    assert (fact["outcome"], fact["current"]) == ("upgraded", "1.1")
    assert (place.target / "web/page 页").read_text() == "second\n"
