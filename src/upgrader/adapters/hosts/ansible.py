"""The seam: Python decides who, when and whether to go on; Ansible does it to the hosts, and tells.

ansible-runner lives only here. Nothing of its return code is believed for a host: outcomes are counted from events, and
only the transaction's own result is proof. A host that no event speaks of is not run, never well.
"""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from upgrader.adapters.hosts.private_folder import MEMORY, private_folder
from upgrader.domain.changes.playbook import HostOutcome, HostReport, PlaybookResult, PlaybookRun
from upgrader.domain.errors import PlaybookFailed, PreflightFailed, Refused

TRANSACTION = "upgrader.host.transaction"
RESULTS = frozenset({"runner_on_ok", "runner_on_failed", "runner_on_unreachable"})
HOST = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
TEMPLATE = re.compile(r"\{[{%#]")
# What ansible-runner sets for its own callback plugin; everything else in the environment is ours.
RUNNER_VARIABLES = re.compile(r"(AWX|RUNNER)_\w+|ANSIBLE_(CALLBACK_PLUGINS|STDOUT_CALLBACK|RETRY_FILES_ENABLED)")
OPEN_SEARCH = "/usr/local/bin:/usr/bin:/bin"
CANCEL_SECONDS = 1  # how often ansible-runner looks whether it should stop

ReadSecrets = Callable[[Iterable[str]], Mapping[str, str]]
NameSecrets = Callable[[Path, Sequence[str]], Sequence[str]]
OnReport = Callable[[HostReport], None]
RunnerEvent = Mapping[str, Any]


class AnsibleFleet:
    """Runs playbooks of an exported tree. What Ansible says is kept below `artifacts`, one folder a run.

    Without a key the person's agent is asked; without known hosts those of the tree count. `sudo_secrets` names, for a
    tree and hosts of it, the secrets that every playbook needs there.
    """

    def __init__(
        self,
        artifacts: Path,
        private_key: Path | None = None,
        known_hosts: Path | None = None,
        read_secrets: ReadSecrets | None = None,
        sudo_secrets: NameSecrets | None = None,
    ) -> None:
        self._artifacts = artifacts
        self._read_secrets = read_secrets
        self._sudo_secrets = sudo_secrets
        self._private_key = private_key
        self._known_hosts = known_hosts

    def run(self, run: PlaybookRun, on_report: OnReport) -> PlaybookResult:
        """Run it, and call `on_report` once for every host, as soon as it is known what that host ended as.

        Raises Refused before Ansible starts when the run is not one that we would make, and PlaybookFailed when Ansible
        touched a host that was not named. When `on_report` raises, the run is stopped and the error goes on.
        """
        check_run(run)
        ledger = Ledger(run.hosts)
        names = set(run.secrets)
        if self._sudo_secrets is not None:
            names.update(self._sudo_secrets(Path(run.tree), run.hosts))
        with private_folder() as folder, self._secret_file(sorted(names)) as secrets:
            job = self._prepare(run, folder, secrets)
            ended = _drive(job, ledger, on_report)
        for report in ledger.silent():
            on_report(report)
        if ledger.strangers:
            raise PlaybookFailed("playbook-strange-hosts", hosts=", ".join(ledger.strangers), playbook=run.playbook)
        return PlaybookResult(
            reports=ledger.reports(),
            return_code=ended.return_code,
            status=ended.status,
            output=str(job.artifacts / "stdout"),
        )

    @contextmanager
    def _secret_file(self, names: Sequence[str]) -> Iterator[Path | None]:
        """The values of these secrets in a file of memory that only we may read; None when none is needed."""
        if not names or self._read_secrets is None:
            yield None
            return
        values = self._read_secrets(names)
        if not os.access(MEMORY, os.W_OK):
            raise PreflightFailed("secrets-need-memory", folder=MEMORY)
        with private_folder(MEMORY) as folder:
            path = folder / "secrets.json"
            path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
            yield path

    def _prepare(self, run: PlaybookRun, folder: Path, secrets: Path | None) -> "Job":
        tree = Path(run.tree)
        limit, variables = folder / "limit", folder / "upgrade.json"
        limit.write_text("".join(f"{host}\n" for host in run.hosts), encoding="utf-8")
        variables.write_text(json.dumps({"upgrade": run.upgrade}, ensure_ascii=False), encoding="utf-8")
        dry = ("--check", "--diff") if run.dry_run else ()
        return Job(
            tree=tree,
            folder=folder,
            artifacts=_fresh_folder(self._artifacts, Path(run.playbook).stem),
            playbook=run.playbook,
            arguments=("-i", str(tree / "inventory"), "--limit", f"@{limit}", "-e", f"@{variables}", *dry),
            environment={
                **self._environment(tree, folder),
                **({"UPGRADER_SECRETS": str(secrets)} if secrets is not None else {}),
                **({"UPGRADER_HOLDING": os.pathsep.join(run.holding)} if run.holding else {}),
            },
            forks=run.forks,
            timeout_seconds=run.timeout_seconds,
        )

    def _environment(self, tree: Path, folder: Path) -> dict[str, str]:
        """All that Ansible and ssh see of this machine."""
        known_hosts = self._known_hosts or tree / "inventory" / "known_hosts"
        environment = fixed_environment(tree, folder)
        environment["ANSIBLE_HOST_KEY_CHECKING"] = "True"
        environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(folder / "ssh")
        environment["ANSIBLE_SSH_COMMON_ARGS"] = shlex.join(ssh_arguments(known_hosts, self._private_key))
        if self._private_key is not None:
            environment["ANSIBLE_PRIVATE_KEY_FILE"] = str(self._private_key.absolute())
        elif "SSH_AUTH_SOCK" in os.environ:
            environment["SSH_AUTH_SOCK"] = os.environ["SSH_AUTH_SOCK"]
        return environment


def fixed_environment(tree: Path, folder: Path) -> dict[str, str]:
    """The environment of every program of Ansible: nothing of the person's own gets in. `folder` is its empty home."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{OPEN_SEARCH}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(folder),
        "ANSIBLE_CONFIG": str(tree / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / ".ansible"),
        "ANSIBLE_NOCOLOR": "True",
        "PYTHONDONTWRITEBYTECODE": "1",  # the tree is hashed before and after
    }


def ssh_arguments(known_hosts: Path, private_key: Path | None) -> list[str]:
    """Only pinned host keys, only the named key, no configuration of the person, never a question."""
    arguments = ["-F", "/dev/null", "-o", f'UserKnownHostsFile="{known_hosts.absolute()}"']
    arguments += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]
    if private_key is not None:
        arguments += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
    return arguments


def check_run(run: PlaybookRun) -> None:
    """Raise Refused unless the run names its hosts and a playbook of its tree, and no text would be a template."""
    if not run.hosts:
        raise Refused("playbook-no-hosts", playbook=run.playbook)
    if len(set(run.hosts)) != len(run.hosts):
        raise Refused("playbook-host-twice", playbook=run.playbook)
    for host in run.hosts:
        if not HOST.fullmatch(host):
            raise Refused("host-name-malformed", host=host)
    tree = Path(run.tree)
    playbook = tree / run.playbook
    if not tree.is_absolute() or ".." in playbook.parts or not playbook.is_file():
        raise Refused("playbook-not-in-tree", playbook=run.playbook)
    for text in _texts(run.upgrade):
        if TEMPLATE.search(text):
            raise Refused("upgrade-holds-template", text=text[:80])


class Ledger:
    """What every host ended as, from Ansible's events. The first proof of a host counts; silence is not run."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._reports: dict[str, HostReport] = {}
        self._seen: set[str] = set()
        self.strangers: list[str] = []

    def take(self, event: RunnerEvent) -> HostReport | None:
        """The report that this event gives, if it gives one."""
        kind, data = str(event.get("event", "")), event.get("event_data") or {}
        if kind not in RESULTS and (kind, data.get("task_action")) != ("runner_on_start", TRANSACTION):
            return None
        host = str(data.get("host", ""))
        if host not in self._hosts:
            self.strangers.append(host)
            return None
        self._seen.add(host)
        if kind not in RESULTS:
            return None
        proof = _proof(data)
        if host in self._reports or (kind == "runner_on_ok" and proof is None):
            return None
        self._reports[host] = _report(kind, host, proof, data.get("res") or {})
        return self._reports[host]

    def silent(self) -> Iterator[HostReport]:
        """A report for every host that gave none: not run, or failed when it began and showed no proof of its end."""
        for host in self._hosts:
            if host not in self._reports:
                self._reports[host] = _silence(host, seen=host in self._seen)
                yield self._reports[host]

    def reports(self) -> tuple[HostReport, ...]:
        return tuple(self._reports[host] for host in self._hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of ansible-playbook, with nothing left to choose."""

    tree: Path
    folder: Path
    artifacts: Path
    playbook: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    forks: int
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Ended:
    status: str
    return_code: int


def _drive(job: Job, ledger: Ledger, on_report: OnReport) -> Ended:
    """Ansible runs in a thread and its events come here, so that an error of `on_report` is ours, not ansible-runner's.

    ansible-runner swallows every OSError of an event handler: a journal on a full disk would go unnoticed.
    """
    events: SimpleQueue[RunnerEvent | None] = SimpleQueue()
    cancel = Event()
    with ThreadPoolExecutor(max_workers=1) as pool:
        ending = pool.submit(_run_ansible, job, events, cancel)
        ending.add_done_callback(lambda _: events.put(None))
        try:
            while (event := events.get()) is not None:
                report = ledger.take(event)
                if report is not None:
                    on_report(report)
                if ledger.strangers:
                    cancel.set()
        finally:
            cancel.set()
        return ending.result()


def _run_ansible(job: Job, events: "SimpleQueue[RunnerEvent | None]", cancel: Event) -> Ended:
    from ansible_runner.config.runner import RunnerConfig  # costs 0.3 s, and `--help` should not pay
    from ansible_runner.runner import Runner

    def keep(event: RunnerEvent) -> bool:
        events.put(event)
        return False  # no file per event

    config = RunnerConfig(
        private_data_dir=str(job.folder),
        artifact_dir=str(job.artifacts.parent),
        ident=job.artifacts.name,
        project_dir=str(job.tree),
        playbook=job.playbook,
        cmdline=shlex.join(job.arguments),
        forks=job.forks,
        timeout=job.timeout_seconds,
        quiet=True,
        settings={"pexpect_timeout": CANCEL_SECONDS},
        fact_cache_type="none",
    )
    config.prepare()
    ours = {name: value for name, value in config.env.items() if RUNNER_VARIABLES.fullmatch(name)}
    config.env = {**ours, **job.environment}
    try:
        status, return_code = Runner(config, event_handler=keep, cancel_callback=cancel.is_set).run()
    finally:
        _remove_traces(job.artifacts)
    return Ended(str(status), int(return_code))


def _remove_traces(artifacts: Path) -> None:
    """`command` holds the whole environment; the rest is empty without event files."""
    (artifacts / "command").unlink(missing_ok=True)
    for folder in ("job_events", "fact_cache"):
        shutil.rmtree(artifacts / folder, ignore_errors=True)


def _fresh_folder(artifacts: Path, name: str) -> Path:
    """The next free folder: `upgrade-001`, `upgrade-002` …"""
    artifacts.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = 1
    while True:
        folder = artifacts / f"{name}-{number:03d}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder.absolute()


def _proof(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    result = data.get("res") or {}
    proof = result.get("upgrader") if data.get("task_action") == TRANSACTION else None
    return proof if isinstance(proof, dict) else None


def _report(kind: str, host: str, proof: Mapping[str, Any] | None, result: Mapping[str, Any]) -> HostReport:
    said = str(result.get("msg", "")).strip()
    match kind, proof:
        case "runner_on_unreachable", None:
            return HostReport(host=host, outcome=HostOutcome.UNREACHABLE, step="connect", detail=said)
        case _, None:
            return HostReport(host=host, outcome=HostOutcome.FAILED, step="ansible", detail=said or "failed, no reason")
        case _, _:
            return _proven(kind, host, proof or {})


def _proven(kind: str, host: str, proof: Mapping[str, Any]) -> HostReport:
    detail = str(proof.get("detail", ""))
    try:
        outcome = HostOutcome(str(proof.get("outcome")))
    except ValueError:
        outcome, detail = HostOutcome.FAILED, f"unknown outcome {str(proof.get('outcome'))[:40]}"
    if kind == "runner_on_failed" and outcome in (HostOutcome.UPGRADED, HostOutcome.UNCHANGED):
        outcome, detail = HostOutcome.FAILED, f"the task failed and yet says {outcome}"
    if kind == "runner_on_unreachable":
        outcome = HostOutcome.UNREACHABLE
    return HostReport(
        host=host,
        outcome=outcome,
        from_version=str(proof.get("from", "")),
        to_version=str(proof.get("to", "")),
        current=str(proof.get("current", "")),
        step=str(proof.get("step", "")),
        detail=detail,
        downtime_ms=int(proof.get("downtime_ms", 0)),
        bytes_sent=int(proof.get("bytes_sent", 0)),
        facts=dict(proof),
    )


def _silence(host: str, *, seen: bool) -> HostReport:
    if seen:
        return HostReport(host=host, outcome=HostOutcome.FAILED, step="ansible", detail="it began, and gave no proof")
    return HostReport(host=host, outcome=HostOutcome.NOT_RUN)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for name, item in value.items():
                yield from _texts(name)
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
