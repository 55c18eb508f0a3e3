"""The server part of a handheld's program: the app file is put where it is offered, and fetched as a handheld would."""

import hashlib
import random
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builders import make_probe
from contracts.place_host import PlaceHost, make_place
from contracts.sh_host import Build, ShHost, pack
from contracts.test_strategy_documents import FILES
from upgrader.adapters.builds.build_inspection import held_by_build
from upgrader.adapters.documents import read_release
from upgrader.adapters.probes import PROBES, Access
from upgrader.domain.changes.verdict import Reading
from upgrader.domain.digest import Digest
from upgrader.domain.errors import BadInput
from upgrader.domain.releases.probe import ProbeKind
from upgrader.ports import ProbedHost

APP = "www/app/nursing.apk"
OLD, NEW = b"PK old app" * 1000, b"PK new app" * 400_000
AT = datetime(2026, 11, 21, 15, 4, tzinfo=UTC)


@pytest.fixture
def place(host: ShHost, tmp_path: Path) -> Iterator[PlaceHost]:
    """A server part at 1.0, which offers the app of that version."""
    made = PlaceHost(host.folder, host.shell, host.path, host.id)
    made.target.mkdir(parents=True)
    made.install(make_place(tmp_path, "1.0"))
    (made.target / APP).parent.mkdir(parents=True)
    (made.target / APP).write_bytes(OLD)
    yield made
    made.end()


@pytest.fixture
def port(place: PlaceHost) -> Iterator[int]:
    """Where the server offers its files over HTTP."""
    handler = partial(Quiet, directory=str(place.target / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The tests say what they saw."""


def offered(port: int, content: bytes, tmp_path: Path) -> tuple[Reading, str]:
    """What the probe of the release sees, which knows the app by its SHA-256."""
    probe = make_probe("app", url=f"http://127.0.0.1:{port}/app/nursing.apk", login=False, user=None, headers=None,
                       expect_status=200, expect_text=None, expect_sha256=Digest.of(content))  # fmt: skip
    (tmp_path / "known_hosts").touch()
    with closing(PROBES[ProbeKind.HTTP](Access(None, tmp_path / "known_hosts"))) as asking:
        seen = asking.measure(
            probe, ProbedHost(name="nursing", address="127.0.0.1", port=port, user="nobody", facts={}), AT
        )
    return seen.reading, seen.detail


@pytest.mark.parametrize("host", ["dash"], indirect=True)
def test_the_new_app_is_offered_with_the_digest_that_was_signed_and_the_old_one_again_after_the_way_back(
    place: PlaceHost, port: int, tmp_path: Path
) -> None:
    build = Build(pack(tmp_path / "nursing-1.1.tar.gz", {"VERSION": "1.1\n", APP: NEW}), "1.1")
    place.extra = f"replaces={hashlib.sha256(OLD).hexdigest()} {APP}\n"
    before = offered(port, NEW, tmp_path)

    fact = place.apply(build, base="1.0", **{"config.from": "etc/site.conf.in", "config.to": "etc/site.conf"})

    assert before[0] is Reading.UNHEALTHY
    assert hashlib.sha256(OLD).hexdigest() in before[1]
    assert fact["outcome"] == "upgraded", fact
    assert offered(port, NEW, tmp_path)[0] is Reading.HEALTHY
    assert place.run("revert", build, base="1.0")["outcome"] == "rolled-back"
    assert offered(port, OLD, tmp_path)[0] is Reading.HEALTHY


def test_the_program_is_looked_for_in_every_kind_of_build(tmp_path: Path) -> None:
    app = random.Random(1).randbytes(100_000)  # as an app file it does not shrink when it is packed
    packed = pack(tmp_path / "nursing-1.1.tar.gz", {"VERSION": "1.1\n", APP: app})
    with zipfile.ZipFile(tmp_path / "nursing.zip", "w") as zipped:
        zipped.writestr(APP, app)

    for build in (packed, tmp_path / "nursing.zip", build_deb(tmp_path, app)):
        assert held_by_build(build, {Digest.of(OLD), Digest.of(app)}) == {Digest.of(app)}, build.name
    whole = Digest.of(packed.read_bytes())
    assert held_by_build(packed, {Digest.of(OLD), whole}) == {whole}


def build_deb(folder: Path, app: bytes) -> Path:
    """A real package with this app, as dpkg-deb packs it."""
    tree = folder / "package"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: nursing\nVersion: 1.1\nArchitecture: all\nMaintainer: x <x@example.invalid>\nDescription: x\n"
    )
    (tree / APP).parent.mkdir(parents=True)
    (tree / APP).write_bytes(app)
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(folder / "nursing.deb")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "nursing.deb"


def test_release_yml_names_the_digest_of_what_is_offered() -> None:
    url = "http://{address}:8080/app/nursing.apk"
    probe = f'{{name: app, kind: http, url: "{url}", expect_status: 200, expect_sha256: {"d" * 64}, '
    text = FILES.replace("{name: port, kind: tcp, address: h, port: 1, ", probe)

    (found,) = read_release(text.encode(), "release.yml").probes

    assert found.expect_sha256 == Digest("d" * 64)
    with pytest.raises(BadInput):
        read_release(text.replace("expect_status: 200,", "expect_status: 200, expect_text: x,").encode(), "release.yml")
