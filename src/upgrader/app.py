"""The object graph: settings and adapters put together into a Site. No logic."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader import __version__
from upgrader.domain.approval.trust import Repository
from upgrader.domain.changes.plan import Versions
from upgrader.domain.errors import BadInput, PreflightFailed
from upgrader.domain.names import PersonId, SiteId
from upgrader.domain.papers.report import ReportView
from upgrader.flow.closing.verify_evidence import Auditor
from upgrader.flow.initialise import NewSite, write_site
from upgrader.flow.repository import EXECUTED
from upgrader.flow.site import People, Site
from upgrader.ports import (
    Brakes,
    Builds,
    Fleet,
    Heartbeat,
    HostClocks,
    Inventory,
    Journal,
    Journals,
    Locks,
    Patches,
    Presence,
    Prober,
    Secrets,
    SeenHosts,
    Signatures,
    Tree,
)

if TYPE_CHECKING:
    from upgrader.adapters.documents import Settings
    from upgrader.adapters.git.checkout import Checkout

SETTINGS = "upgrader.yml"
NOTIFIERS = "notify.yml"  # in the state folder


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person said on the command line; None where they left it to the clone's git config or the default."""

    folder: Path
    state: str | None = None
    person: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class SiteToBe:
    """What `upgrader init` is told."""

    directory: Path
    site: SiteId
    hospital: tuple[str, str]
    time_zone: str
    remote: str | None
    inventory: Path | None
    person: str | None
    key: str | None


def open_site(choices: Choices) -> Site:
    """A site, from its clone. Raises PreflightFailed `site-not-found`, BadInput for a wrong upgrader.yml."""
    from upgrader.adapters import documents, paper
    from upgrader.adapters.clock import system_clock
    from upgrader.adapters.git.exported_tree import folder_digest
    from upgrader.adapters.git.exports import Exports
    from upgrader.adapters.hosts.known_systems import KnownSystems
    from upgrader.adapters.state import bundle
    from upgrader.adapters.trust.trust_files import TrustFiles
    from upgrader.adapters.trust.trusted_mirror import TrustedMirror

    settings, clone, state = _where(choices)
    trust = TrustFiles(state / "trust")
    mirror = TrustedMirror(state / "mirror.git", trust)
    person, key, ssh_key = _who_acts(choices, clone.setting)
    builds, patches = _kept_builds(state)
    secrets = _secrets(state, (key, ssh_key))
    people = _people(clone.root, state, settings.site, secrets)
    inventory = _inventory(state)
    exports = Exports(state / "trees", mirror, EXECUTED)
    return Site(
        id=settings.site,
        clone=clone,
        mirror=mirror,
        trust=trust,
        signatures=_signatures(state / "cache" / "verified"),
        builds=builds,
        patches=patches,
        documents=documents,
        systems=KnownSystems(state / "cache" / "systems"),
        inventory=inventory,
        seen_hosts=_seen_hosts(state / "cache" / "host-state"),
        locks=_locks(state / "locks"),
        brakes=_brakes(state / "brakes"),
        clock=system_clock,
        state=state,
        versions=program_versions(),
        forks=settings.forks,
        time_zone=settings.time_zone,
        change_prefix=settings.change_prefix,
        hospital=settings.hospital,
        person=person,
        key=key,
        journal=_journals(state / "changes", people),
        journals=_journal_search(state / "changes"),
        export=exports.open,
        with_own_playbooks=exports.with_own_playbooks,
        tree_digest=folder_digest,
        fleet=_fleets(ssh_key, secrets, inventory),
        presence=_presence(),
        prober=_probers(ssh_key),
        host_clocks=_host_clocks(ssh_key, settings.clock_tolerance),
        heartbeat=_heartbeat(state),
        people=people,
        sleep=time.sleep,
        render_report=_render_report,
        bundles=bundle,
        secrets=secrets,
        paper=paper,
    )


def _where(choices: Choices) -> tuple["Settings", "Checkout", Path]:
    """The site's settings, the person's clone, and the state folder."""
    from upgrader.adapters import documents
    from upgrader.adapters.git.checkout import Checkout

    directory = find_site(choices.folder)
    settings = documents.read_settings((directory / SETTINGS).read_bytes(), SETTINGS)
    clone = Checkout(directory)
    chosen = choices.state or os.environ.get("UPGRADER_STATE") or clone.setting("state")
    return settings, clone, state_folder(chosen, settings.site)


def _who_acts(
    choices: Choices, setting: Callable[[str], str | None]
) -> tuple[PersonId | None, Path | None, Path | None]:
    """The acting person, their signing key, and the key for hosts: as said, else of the environment or the clone."""
    person = choices.person or os.environ.get("UPGRADER_PERSON") or setting("person")
    key = choices.key or os.environ.get("UPGRADER_KEY") or setting("key")
    ssh_key = os.environ.get("UPGRADER_SSH_KEY") or setting("sshKey")
    return _person(person), _path(key), _path(ssh_key)


def open_auditor() -> Auditor:
    """What verifying a bundle needs: no site, no state, no network."""
    from upgrader.adapters.state import bundle
    from upgrader.adapters.trust import ssh_signatures
    from upgrader.adapters.trust.bundled_trust import read_bundled_trust

    return Auditor(bundle, ssh_signatures, read_bundled_trust)


def initialise_site(wanted: SiteToBe) -> str:
    """Write a new site repository, commit it and push it; give the commit. Raises BadInput when something is there."""
    from upgrader.adapters.clock import system_clock
    from upgrader.adapters.documents import Language, Settings, write_settings
    from upgrader.adapters.documents.policy_example import PolicyExample, policy_example
    from upgrader.adapters.git.git_clone import Clone
    from upgrader.adapters.site_template import inventory_files, template_files

    settings = Settings(
        site=wanted.site,
        hospital={"zh": wanted.hospital[0], "en": wanted.hospital[1]},
        time_zone=wanted.time_zone,
        language=Language.CHINESE,
        change_prefix="CHG",
    )
    example = PolicyExample(
        site=wanted.site,
        repository=Repository(wanted.site, wanted.remote or "/srv/git/site.git", "main"),
        expires=(system_clock() + timedelta(days=365)).date(),
        root_keys=(),
        keys={},
    )
    files = {
        **template_files(),
        **inventory_files(wanted.inventory),
        SETTINGS: write_settings(settings).encode(),
        "policy.example.yml": policy_example(example).encode(),
        ".gitattributes": b"* -text\n",
    }
    write_site(NewSite(directory=wanted.directory, files=files))
    clone = Clone.init(wanted.directory)
    if wanted.person and wanted.key:
        clone.remember(PersonId(wanted.person), Path(wanted.key).absolute())
    commit = clone.commit([wanted.directory / path for path in files], f"init {wanted.site}")
    if wanted.remote:
        clone.add_remote(wanted.remote)
        clone.push()
    return commit


def find_site(start: Path) -> Path:
    """The nearest folder from `start` upwards that holds upgrader.yml. Raises PreflightFailed `site-not-found`."""
    start = start.expanduser().absolute()
    for folder in (start, *start.parents):
        if (folder / SETTINGS).is_file():
            return folder
    raise PreflightFailed("site-not-found", folder=start)


def state_folder(chosen: str | None, site: SiteId) -> Path:
    """Where this controller keeps what is not in git: where the person chose, or below XDG_STATE_HOME."""
    if chosen:
        return Path(chosen).expanduser().absolute()
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return home.absolute() / "upgrader" / site


def program_versions() -> Versions:
    """The versions that a plan binds, without importing what they are of."""
    from upgrader.adapters.programs import distribution_version

    return Versions(__version__, distribution_version("ansible-core"), platform.python_version())


def _person(text: str | None) -> PersonId | None:
    """Raises BadInput `person-malformed`."""
    try:
        return PersonId(text) if text else None
    except ValueError as error:
        raise BadInput("person-malformed", person=(text or "")[:80]) from error


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _locks(folder: Path) -> Locks:
    from upgrader.adapters.state.locks import Locks as LockFiles

    return LockFiles(folder)


def _brakes(folder: Path) -> Brakes:
    from upgrader.adapters.state.brake_files import BrakeFiles

    return BrakeFiles(folder)


def _journals(folder: Path, people: People) -> Callable[[str], AbstractContextManager[Journal]]:
    from upgrader.adapters.state.journal_file import JournalFile
    from upgrader.adapters.state.journal_marks import JournalMarks
    from upgrader.flow.service.telling_journal import TellingJournal

    marks = JournalMarks()

    @contextmanager
    def open_journal(change: str) -> Iterator[Journal]:
        with JournalFile(folder / change / "journal.jsonl", marks) as journal:
            yield TellingJournal(journal, people.call) if people.are_told else journal

    return open_journal


def _journal_search(folder: Path) -> Journals:
    from upgrader.adapters.state.journal_search import JournalSearch

    return JournalSearch(folder)


def _seen_hosts(folder: Path) -> SeenHosts:
    from upgrader.adapters.state.sighting_files import SightingFiles

    return SightingFiles(folder)


def _people(clone: Path, state: Path, site: SiteId, secrets: Secrets) -> People:
    from upgrader.adapters.notifiers import Notifiers
    from upgrader.adapters.notifiers.beside import notify_beside
    from upgrader.adapters.state.deliveries import DeliveryFiles

    file = state / NOTIFIERS
    notifiers, deliveries = Notifiers(file, site, secrets), DeliveryFiles(state / "notifications")
    return People(notifiers, deliveries, os.path.lexists(file), partial(notify_beside, clone, state))


def _render_report(view: ReportView) -> str:
    from upgrader.adapters.report import render_report

    return render_report(view)


def _presence() -> Presence:
    from upgrader.adapters.hosts.presence import NetworkPresence

    return NetworkPresence()


def _inventory(state: Path) -> Inventory:
    from upgrader.adapters.hosts.inventory import AnsibleInventory

    return AnsibleInventory(state / "cache" / "inventory", state / "secret-hosts")


def _fleets(ssh_key: Path | None, secrets: Secrets, inventory: Inventory) -> Callable[[Tree, Path], Fleet]:
    def fleet(tree: Tree, artifacts: Path) -> Fleet:
        from upgrader.adapters.hosts.ansible import AnsibleFleet

        return AnsibleFleet(artifacts, ssh_key, tree.known_hosts, secrets.read, inventory.sudo_secrets)

    return fleet


def _probers(ssh_key: Path | None) -> Callable[[Tree], Prober]:
    def prober(tree: Tree) -> Prober:
        from upgrader.adapters.clock import system_clock
        from upgrader.adapters.probes import Prober as HostProber

        return HostProber(system_clock, ssh_key, tree.known_hosts)

    return prober


def _host_clocks(ssh_key: Path | None, tolerance: int) -> Callable[[Tree], HostClocks]:
    def host_clocks(tree: Tree) -> HostClocks:
        from upgrader.adapters.clock import system_clock
        from upgrader.adapters.hosts.host_clocks import SshClocks

        return SshClocks(system_clock, ssh_key, tree.known_hosts, timedelta(seconds=tolerance))

    return host_clocks


def _kept_builds(state: Path) -> tuple[Builds, Patches]:
    from upgrader.adapters.builds.build_store import BuildStore
    from upgrader.adapters.builds.patches import PatchStore

    builds = BuildStore(state / "builds")
    return builds, PatchStore(state / "patches", builds)


def _signatures(folder: Path) -> Signatures:
    from upgrader.adapters.trust.verified_signatures import VerifiedSignatures

    return VerifiedSignatures(folder)


def _heartbeat(state: Path) -> Heartbeat:
    from upgrader.adapters.state.heartbeat import HeartbeatFile

    return HeartbeatFile(state / "cache" / "serve.json")


def _secrets(state: Path, others: tuple[Path | None, ...]) -> Secrets:
    from upgrader.adapters.trust.secret_files import SecretFiles

    return SecretFiles(state / "secrets", others)
