"""A message service through the command line: drained and counted on a real host; taken back when it loses messages."""

import hashlib
import shutil
from pathlib import Path

import pytest

from contracts.sh_host import Build
from contracts.test_host_messages import interface
from upgrader.domain.approval.record import Namespace
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, TESTER, Hospital, Start
from upgrader.lab.janitor import temporary_lab
from upgrader.lab.keys import sign
from upgrader.lab.programs import missing_programs
from upgrader.lab.releases import SYSTEM, VENDOR

MISSING = missing_programs(("sshd", "ssh", "ssh-keygen", "git"))
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(MISSING), reason=f"NO LAB: {', '.join(MISSING)} is not installed"),
]
MANIFEST = """\
system: {system}
version: "{version}"
vendor: {vendor}
released: "2026-11-20"
summary: {{zh: 消息接口, en: messages}}
follows: ["", "1.*"]
strategy: archive
downtime: 10s
data: keep
builds: [{{file: "{file}", sha256: "{sha256}", size: {size}}}]
service: {{name: gateway, unit: etc/gateway.service, script: bin/service, settle: 1s}}
health: {{command: bin/health, timeout: 20s}}
interface:
  intake: {{stop: bin/gateway stop, start: bin/gateway start}}
  queue: bin/gateway queue
  drain_within: 60s
  counts: {{in: bin/gateway in, out: bin/gateway out}}
  replay: bin/gateway replay
  held: held
keep: 2
probes:
  - {{name: queue, kind: command, run: "{{root}}/current/bin/gateway queue", expect_text: "0", interval: 1s, count: 1,
     failures_allowed: 0, timeout: 20s}}
thresholds: {{failed_in_wave: 0, failed_in_all: 0, unreachable_in_wave: 0}}
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def planned(hospital: Hospital, build: Build, folder: Path) -> tuple[str, str]:
    """From the vendor's drop to a plan that everybody signed: the change's id, and what the last of them read."""
    folder.mkdir()
    shutil.copyfile(build.path, folder / build.path.name)
    named = {"system": SYSTEM, "version": build.version, "vendor": VENDOR, "file": build.path.name}
    (folder / "release.yml").write_text(MANIFEST.format(**named, sha256=build.sha256, size=build.size))
    (folder / "SHA256SUMS").write_text("".join(f"{digest(p)}  {p.name}\n" for p in sorted(folder.iterdir())))
    sign(folder / "SHA256SUMS", hospital.drop.vendor_key, Namespace.RELEASE)
    hospital.upgrader(ENGINEER, "stage", str(folder))
    hospital.upgrader(TESTER, "record", "vendor-test", SYSTEM, build.version, "--cases", "48 of 48")
    hospital.upgrader(ENGINEER, "record", "site-test", SYSTEM, build.version, "--cases", "12 of 12")
    asked = hospital.upgrader(ENGINEER, "--json", "request", SYSTEM, build.version, "--reason", "messages",
                              "--window", "now → +4h", "--soak", "2s", "--soak-interval", "1s")  # fmt: skip
    change: str = asked.json()["change"]
    hospital.upgrader(ENGINEER, "plan", change)
    read = hospital.upgrader(HEAD, "--lang", "en", "sign", change, "approve", check=False).out
    for person in (INFORMATION, HEAD):
        hospital.upgrader(person, "sign", change, "--yes")
    return change, read


def test_a_release_that_loses_messages_is_taken_back_with_them(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, warm: Start
) -> None:
    directory = tmp_path_factory.mktemp("messages")
    with temporary_lab(directory / "lab", hosts=1) as lab:
        hospital = Hospital.build(directory, lab, default_cache() / "lab-drop", start=warm)
        first, _ = planned(hospital, interface(tmp_path, "1.0"), tmp_path / "first")
        hospital.upgrader(ENGINEER, "apply", first)
        (host,) = lab.hosts
        shared = Path(host.upgrader_root) / SYSTEM / "shared"
        (shared / "held" / "b1").write_text("ORU^R01")

        bad, read = planned(hospital, interface(tmp_path, "2.0", **{"etc/loses": "all"}), tmp_path / "bad")
        assert "messages: intake stopped, queue drained within 60 s, replayed, in = out" in read
        applied = hospital.upgrader(ENGINEER, "--json", "apply", bad, check=False)

        assert applied.code == 30, applied.err
        journal = "".join(path.read_text() for path in hospital.state.glob("changes/*/journal.jsonl"))
        assert "1 messages were replayed, 1 came in, 0 went out" in journal
        assert (shared.parent / "current").readlink().name == "1.0"
        assert not (shared / "closed").exists()
        hospital.upgrader(ENGINEER, "close", bad)
