"""Print what the gate and an audit cost: `python -m benchmarks.gate`. CPU seconds of this process and its children.

Cold: nothing is remembered of any signature. Warm: everything is. Each run opens the site afresh.
"""

import resource
import secrets
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from upgrader.adapters.hosts.inventory import AnsibleInventory
from upgrader.app import Choices, open_site
from upgrader.domain.approval.record import ApprovalRecord, Decision, Namespace, plan_facts, record_name, write_record
from upgrader.domain.changes.lifecycle import Event
from upgrader.domain.changes.plan import Plan, make_plan, read_plan
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId, PersonId, RoleId
from upgrader.flow.approval.authorize import examine
from upgrader.flow.closing.audit import audit_all
from upgrader.flow.planning.materials import make_materials, read_change_files
from upgrader.flow.site import Site
from upgrader.lab.cache import default_cache
from upgrader.lab.hospital import ENGINEER, HEAD, INFORMATION, PEOPLE, Hospital
from upgrader.lab.janitor import temporary_lab
from upgrader.ports import Tree

BASE, GOOD = "3.1.9", "3.5.10"
RUNS = 5
CHANGES, WORDS_EACH = 250, 2  # two people give their word twice: 1,000 records
HOSTS = 10_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, temporary_lab(Path(folder) / "lab", hosts=1) as lab:
        hospital = Hospital.build(Path(folder) / "hospital", lab, default_cache() / "lab-drop")
        hospital.install_by_hand(BASE)
        change = hospital.change_ready(GOOD)
        say("gate, 5 signatures, cold", median(lambda: ask_gate(hospital, change, cold=True)), "goal 0.20")
        say("gate, 5 signatures, warm", median(lambda: ask_gate(hospital, change, cold=False)), "")
        make_history(hospital, change)
        records = CHANGES * WORDS_EACH * 2
        say(f"audit, {records:,} records, cold", median(lambda: audit(hospital, cold=True), runs=1), "goal 10.00")
        say(f"audit, {records:,} records, warm", median(lambda: audit(hospital, cold=False), runs=3), "goal 1.00")
        first, cached = plan_many(opened(hospital), change, Path(folder) / "many")
        say(f"plan for {HOSTS:,} hosts, inventory read by Ansible", first, "once for each inventory")
        say(f"plan for {HOSTS:,} hosts, inventory cached", cached, "goal 2.00")


def say(what: str, seconds: float, note: str) -> None:
    print(f"{what:52} {seconds:7.2f} CPU s  {note}", flush=True)


def median(act: Callable[[], Callable[[], object]], runs: int = RUNS) -> float:
    """The median of what the prepared acts cost; `act` prepares one, which costs nothing here."""
    return statistics.median(cost_of(act()) for _ in range(runs))


def cost_of(act: Callable[[], object]) -> float:
    before = _cpu()
    act()
    return _cpu() - before


def opened(hospital: Hospital, *, cold: bool = False) -> Site:
    if cold:
        shutil.rmtree(hospital.state / "cache" / "verified", ignore_errors=True)
    return open_site(Choices(hospital.clone(ENGINEER), str(hospital.state), ENGINEER))


def ask_gate(hospital: Hospital, change: str, *, cold: bool) -> Callable[[], object]:
    """Fetch, re-hash, export, make the plan again, verify everything; no interpreter start."""
    site = opened(hospital, cold=cold)

    def ask() -> None:
        with examine(site, change) as examined:
            assert examined.standing.is_complete

    return ask


def audit(hospital: Hospital, *, cold: bool) -> Callable[[], object]:
    site = opened(hospital, cold=cold)

    def look() -> None:
        audited = audit_all(site)
        assert len(audited) == CHANGES + 1
        assert all(one.holds for one in audited)

    return look


def plan_many(site: Site, change: str, folder: Path) -> tuple[float, float]:
    """Bind a plan for many hosts and hash it: with Ansible reading the inventory, and once more from its cache."""
    write_inventory(folder / "tree" / "inventory", site)
    snapshot, trust = site.mirror.refresh(), site.trust.load()
    files = read_change_files(site, snapshot, change)
    tree = Tree(folder / "tree", Digest.of(b"tree"))
    inventory = AnsibleInventory(folder / "cache")

    def plan() -> Digest:
        hosts = inventory.resolve(tree.path, "all")
        installed = dict.fromkeys((host.name for host in hosts), BASE)
        materials = make_materials(site, trust, files, snapshot, tree, hosts, installed, 1)
        made = make_plan(materials)
        assert len(made.hosts) == HOSTS
        return made.digest

    return cost_of(plan), statistics.median(cost_of(plan) for _ in range(3))


def write_inventory(folder: Path, site: Site) -> None:
    folder.mkdir(parents=True)
    addresses = {f"station-{n:05d}": f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in range(HOSTS)}
    key = site.trust.load().people[0].keys[0].public
    (folder / "known_hosts").write_text("".join(f"{address} {key}\n" for address in addresses.values()))
    lines = [f"    {name}: {{ansible_host: {address}}}\n" for name, address in addresses.items()]
    shared = "  vars: {ansible_user: upgrader, upgrader_parameters: {port: '8443', department: radiology}}\n"
    (folder / "hosts.yml").write_text("all:\n" + shared + "  hosts:\n" + "".join(lines))


@dataclass(frozen=True, slots=True)
class Made:
    """A change of the past: its plan, and the approvals by path."""

    plan: Plan
    approvals: tuple[str, ...]


def make_history(hospital: Hospital, change: str) -> None:
    """Many changes that were planned, signed and authorized, in one commit, each with a journal of its own."""
    clone = hospital.clone(INFORMATION)
    hospital.git(INFORMATION, "pull", "--quiet")
    plan = read_plan((clone / "approvals" / change / "plan.json").read_bytes())
    made = [_write_change(clone, plan, f"CHG-{datetime.now(UTC).year}-{5000 + n}") for n in range(CHANGES)]
    for person in (INFORMATION, HEAD):
        records = [clone / path for one in made for path in one.approvals if f"_{person}_" in path]
        _sign_all(records, hospital.people_keys[person])
    hospital.git(INFORMATION, "add", "--all")
    hospital.git(INFORMATION, "commit", "--quiet", "--message", "a year of changes")
    hospital.git(INFORMATION, "push", "--quiet")
    site = opened(hospital)
    commit = site.mirror.refresh().commit
    for one in made:
        _write_journal(site, one, commit)


def _write_change(clone: Path, like: Plan, change: str) -> Made:
    folder = clone / "approvals" / change
    folder.mkdir(parents=True)
    request = f"# {change}\n".encode()
    plan = replace(like, change=ChangeId(change), request=Digest.of(request))
    (folder / "request.yml").write_bytes(request)
    (folder / "plan.json").write_bytes(plan.to_bytes())
    paths = []
    for person in (INFORMATION, HEAD):
        for _ in range(WORDS_EACH):
            record = _approval(plan, person)
            path = f"approvals/{change}/{record_name(record)}"
            (clone / path).write_bytes(write_record(record))
            paths.append(path)
    return Made(plan, tuple(sorted(paths)))


def _approval(plan: Plan, person: str) -> ApprovalRecord:
    facts = plan_facts(plan)
    return ApprovalRecord(
        format=ApprovalRecord.FORMAT,
        site=plan.site,
        repository=plan.repository,
        change=plan.change,
        revision=str(plan.revision),
        plan=plan.digest,
        decision=Decision.APPROVE,
        person=PersonId(person),
        role=RoleId(PEOPLE[person][3]),
        issued=datetime.now(UTC),
        expires=plan.window.closes,
        nonce=secrets.token_hex(16),
        reason="read and agreed",
        release=facts.release,
        hosts=facts.hosts,
        window=facts.window,
        downtime=facts.downtime,
    )


def _sign_all(records: Iterable[Path], key: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", Namespace.APPROVAL.value]
    subprocess.run([*command, *map(str, records)], check=True, capture_output=True)


def _write_journal(site: Site, made: Made, commit: str) -> None:
    facts: dict[Event, dict[str, object]] = {
        Event.CHANGE_REQUESTED: {"system": made.plan.release.system, "version": made.plan.release.version},
        Event.PLAN_MADE: {"plan": made.plan.digest.hex, "revision": made.plan.revision},
        Event.PLAN_AUTHORIZED: {
            "plan": made.plan.digest.hex,
            "commit": commit,
            "trust_version": 1,
            "people": sorted([INFORMATION, HEAD]),
            "approvals": list(made.approvals),
        },
    }
    with site.journal(made.plan.change) as journal:
        for event, data in facts.items():
            journal.write(event, data, at=site.clock(), actor=ENGINEER)


def _cpu() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
