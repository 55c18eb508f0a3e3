"""The inventory: who the hosts are, asked of Ansible itself, and believed only where it is plain.

A host name once was `-oProxyCommand=…`, and ran. So names, addresses and users match strict patterns, the files are
static, and no `ansible_*` variable passes that is not on a short list.

The gate asks this of a tree that nobody has approved yet. So Ansible reads the files of `inventory/` with a
configuration of ours: the tree's own could name plugins, which are programs.
"""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from upgrader.adapters.hosts.ansible import HOST, TEMPLATE, fixed_environment
from upgrader.adapters.hosts.known_hosts import KnownHosts
from upgrader.adapters.hosts.private_folder import private_folder
from upgrader.domain.changes.late import Workstation
from upgrader.domain.errors import BadInput, Refused
from upgrader.domain.hospital.platform import Platform
from upgrader.domain.secret import MARK, SecretName
from upgrader.ports import GroupedHost, InventoryHost

ADDRESS = re.compile(r"[0-9A-Za-z:][0-9A-Za-z.:-]{0,252}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
PATTERN = re.compile(r"[0-9A-Za-z_*!&][0-9A-Za-z_.*!&:,-]{0,1000}")
KIND = re.compile(r"server|workstation")
MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
BROADCAST = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EVERYTHING = "all"
BECOMES_WITH = "ansible_become_password"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ANSIBLE_VARIABLES = frozenset(
    {
        "ansible_become",
        "ansible_become_method",
        "ansible_become_password",
        "ansible_become_user",
        "ansible_connection",
        "ansible_host",
        "ansible_port",
        "ansible_python_interpreter",
        "ansible_ssh_private_key_file",
        "ansible_user",
    }
)
# How Windows hosts are reached; what gives one away, and what only such a host may have.
WINDOWS_CONNECTIONS = ("winrm", "psrp")
WAYS_TO_WINDOWS = frozenset({*WINDOWS_CONNECTIONS, "powershell", "cmd"})
FOR_WINDOWS = ("ansible_shell_type", "ansible_winrm_", "ansible_psrp_")
ROOTS: Mapping[Platform | None, str] = {Platform.WINDOWS: "C:\\upgrader"}
# What Ansible or our role evaluates: a template in there is a program, and may run on this controller.
READ_BY_ANSIBLE = ("ansible_", "archive_", "data_fix_", "database_", "files_", "package_", "upgrade")
PARSE_SECONDS = 300
CONFIGURATION = """\
[defaults]
collections_path = {nowhere}
[inventory]
enable_plugins = yaml, ini
ignore_patterns = ^known_hosts$, [.]md$
any_unparsed_is_failed = true
unparsed_is_failed = true
"""


@dataclass(frozen=True)  # without slots, so that what is derived from it is computed once
class Described:
    """What Ansible says of the hosts that a pattern names: their variables, and of every group whom it holds.

    A group's members are its hosts and the groups below it.
    """

    variables: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, frozenset[str]]

    def groups_of(self, host: str) -> frozenset[str]:
        """Every group to which a host belongs, directly or through another group; `all` is none."""
        return frozenset[str]().union(*(self._at_and_above(group) for group in self._holders.get(host, ())))

    def in_group(self, group: str) -> frozenset[str]:
        """Every host of a group and of the groups below it."""
        found, waiting = set[str](), {group}
        while waiting:
            found |= waiting
            waiting = {member for name in waiting for member in self.groups.get(name, ())} - found
        return frozenset(found & self.variables.keys())

    def _at_and_above(self, group: str) -> frozenset[str]:
        if group not in self._above:
            found, waiting = set[str](), {group}
            while waiting:
                found |= waiting
                waiting = {holder for name in waiting for holder in self._holders.get(name, ())} - found
            self._above[group] = frozenset(found - {"all", "ungrouped"})
        return self._above[group]

    @cached_property
    def _holders(self) -> Mapping[str, Sequence[str]]:
        """For each host and group, the groups of which it is a member."""
        found: dict[str, list[str]] = {}
        for name, members in self.groups.items():
            for member in members:
                found.setdefault(member, []).append(name)
        return found

    @cached_property
    def _above(self) -> dict[str, frozenset[str]]:
        return {}


@dataclass(frozen=True, slots=True)
class Reading:
    """What Ansible said of an inventory, and the hosts of it that were looked at closely already."""

    described: Described
    known_hosts: KnownHosts
    seen: dict[str, InventoryHost] = field(default_factory=dict)

    def hosts(self, names: Iterable[str]) -> Sequence[InventoryHost]:
        return [self._host(name) for name in sorted(names)]

    def sudo_secret(self, name: str) -> str:
        """The name of the secret with which its user becomes another; empty where the host wants none."""
        return str(self.described.variables.get(name, {}).get(BECOMES_WITH, "")).removeprefix(MARK)

    def _host(self, name: str) -> InventoryHost:
        if name not in self.seen:
            host = _host(name, self.described.variables[name], self.described.groups, self.known_hosts)
            self.seen[name] = replace(host, groups=self.described.groups_of(name))
        return self.seen[name]


class AnsibleInventory:
    """Reads `inventory/` of an exported tree. What Ansible said is kept in `cache`, by the digest of what it read.

    A single group is taken from what Ansible said of all hosts: fifty systems are fifty groups of one inventory.
    """

    def __init__(self, cache: Path, secret_hosts: Path | None = None) -> None:
        self._cache = cache
        self._secret_hosts = secret_hosts
        self._digest = ""
        self._readings: dict[str, Reading] = {}

    def resolve(self, tree: Path, pattern: str) -> Sequence[InventoryHost]:
        """The hosts that a pattern names (`all`, `stations:!host-07`), by name. Raises BadInput; none is an error."""
        if not PATTERN.fullmatch(pattern):
            raise BadInput("inventory-pattern-malformed", pattern=pattern[:80])
        if GROUP.fullmatch(pattern):
            whole = self._reading(tree, EVERYTHING)
            if names := whole.described.in_group(pattern):
                return whole.hosts(names)
        reading = self._reading(tree, pattern)
        if not reading.described.variables:
            raise BadInput("inventory-pattern-empty", pattern=pattern)
        return reading.hosts(reading.described.variables)

    def grouped(self, tree: Path) -> Sequence[GroupedHost]:
        """All hosts in short, in no order: nobody is going to contact them, so nothing else is looked at."""
        described = self._describe(tree, inventory_digest(tree), EVERYTHING)
        return [
            GroupedHost(name, described.groups_of(name), _platform(name, variables))
            for name, variables in described.variables.items()
        ]

    def sudo_secrets(self, tree: Path, names: Sequence[str]) -> Sequence[str]:
        """The secrets with which our user becomes another on these hosts, sorted; few sites have any.

        The branch could name any computer as a host, before anybody has signed. So a password goes only to host keys
        that this controller keeps for it, in `secret_hosts/NAME`; raises Refused `secret-not-for-host` for any other.
        """
        if not any(BECOMES_WITH.encode() in path.read_bytes() for path in _files(tree / "inventory")):
            return ()
        reading = self._reading(tree, EVERYTHING)
        asked = {name: secret for name in names if (secret := reading.sudo_secret(name))}
        for host in reading.hosts(asked):
            self._check_known(host, asked[host.name])
        return sorted(set(asked.values()))

    def _check_known(self, host: InventoryHost, secret: str) -> None:
        if self._secret_hosts is None:
            return
        path = self._secret_hosts / secret
        try:
            known = KnownHosts.read(path).fingerprint(host.name, host.address, host.port)
        except BadInput as error:
            raise Refused("secret-not-for-host", host=host.name, secret=secret, file=path) from error
        if known != host.host_key:
            raise Refused("secret-not-for-host", host=host.name, secret=secret, file=path)

    def _reading(self, tree: Path, pattern: str) -> Reading:
        digest = inventory_digest(tree)
        if digest != self._digest:
            self._digest, self._readings = digest, {}
        if pattern not in self._readings:
            known_hosts = KnownHosts.read(tree / "inventory" / "known_hosts")
            self._readings[pattern] = Reading(self._describe(tree, digest, pattern), known_hosts)
        return self._readings[pattern]

    def _describe(self, tree: Path, inventory: str, pattern: str) -> Described:
        digest = hashlib.sha256(f"{inventory} {pattern}".encode()).hexdigest()
        kept = self._cache / f"{digest}.json"
        try:
            return _described(json.loads(kept.read_bytes()))
        except (OSError, ValueError):
            said = _ask_ansible(tree, pattern)
        described = _described(said)
        _keep(kept, said)
        return described


def inventory_digest(tree: Path) -> str:
    """SHA-256 over everything that Ansible reads to know the hosts. Raises BadInput for what is not plain text."""
    digest = hashlib.sha256()
    for path in sorted(_files(tree / "inventory")):
        content = path.read_bytes()
        digest.update(f"{len(content)} {path.relative_to(tree)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise BadInput("inventory-missing", folder=folder.name)
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode) or mode & 0o111:
            raise BadInput("inventory-file-refused", file=path.relative_to(folder.parent))
        yield path


def _ask_ansible(tree: Path, pattern: str) -> Any:
    program = Path(sys.executable).parent / "ansible-inventory"
    with private_folder() as folder:
        configuration = folder / "ansible.cfg"
        configuration.write_text(CONFIGURATION.format(nowhere=folder / "nowhere"), encoding="utf-8")
        try:
            said = subprocess.run(
                [str(program), "-i", str(tree / "inventory"), "--list", "--limit", pattern],
                cwd=folder,
                env={**fixed_environment(tree, folder), "ANSIBLE_CONFIG": str(configuration)},
                capture_output=True,
                check=True,
                timeout=PARSE_SECONDS,
            )
            return json.loads(said.stdout)
        except subprocess.CalledProcessError as error:
            raise BadInput("inventory-unreadable", reason=_last_error(error.stderr)) from error
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise BadInput("inventory-unreadable", reason=str(error)[:200]) from error


def _last_error(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("[ERROR]")]
    return (errors or lines or ["ansible-inventory failed"])[-1][:300]


def _described(said: Any) -> Described:
    """Raises ValueError for what is not the answer of `ansible-inventory --list`."""
    try:
        variables = {str(name): dict(found) for name, found in said["_meta"]["hostvars"].items()}
        groups = {str(name): group for name, group in said.items() if name != "_meta"}
        for group in groups.values():
            for name in group.get("hosts", ()):
                variables.setdefault(str(name), {})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("not the answer of ansible-inventory") from error
    members = {name: frozenset((*group.get("hosts", ()), *group.get("children", ()))) for name, group in groups.items()}
    return Described(variables, members)


def _keep(path: Path, said: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(said), encoding="utf-8")
    fresh.replace(path)


def _host(name: str, variables: Mapping[str, Any], groups: Container[str], known_hosts: KnownHosts) -> InventoryHost:
    if not HOST.fullmatch(name):
        raise BadInput("inventory-name-malformed", host=name[:80])
    if name in groups:  # a limit that names it would mean the group
        raise BadInput("inventory-name-is-group", host=name)
    _check_password(name, variables)
    _check_variables(name, variables)
    platform = _platform(name, variables)
    _check_connection(name, variables, platform)
    address = _matching(ADDRESS, variables.get("ansible_host", name), name, "ansible_host")
    port = _port(variables.get("ansible_port", 22), name)
    by_ssh = variables.get("ansible_connection", "ssh") == "ssh"
    return InventoryHost(
        name=name,
        address=address,
        port=port,
        user=_matching(USER, variables.get("ansible_user", ""), name, "ansible_user"),
        host_key=known_hosts.fingerprint(name, address, port) if by_ssh else "",
        root=_plain(variables.get("upgrader_root", ROOTS.get(platform, "/opt")), name, "upgrader_root"),
        parameters=_parameters(variables.get("upgrader_parameters", {}), name),
        workstation=_workstation(variables, name),
        platform=platform,
    )


def _workstation(variables: Mapping[str, Any], name: str) -> Workstation | None:
    """What the inventory says of a host that people switch off; None for a server, which is never merely away."""
    kind = _matching(KIND, variables.get("upgrader_kind", "server"), name, "upgrader_kind")
    if kind == "server":
        return None
    mac, wake_at = variables.get("upgrader_mac"), variables.get("upgrader_wake_at")
    return Workstation(
        mac=None if mac is None else _matching(MAC, mac, name, "upgrader_mac").lower().replace("-", ":"),
        wake_at=None if wake_at is None else _matching(BROADCAST, wake_at, name, "upgrader_wake_at"),
    )


def _platform(name: str, variables: Mapping[str, Any]) -> Platform | None:
    """As the inventory declares it, else as the way to the host gives it away; None where nothing does."""
    declared = variables.get("upgrader_platform")
    if declared is None:
        told = {variables.get("ansible_connection"), variables.get("ansible_shell_type")}
        return Platform.WINDOWS if told & WAYS_TO_WINDOWS else None
    if declared not in set(Platform):
        raise BadInput("inventory-value-malformed", host=name, variable="upgrader_platform", found=str(declared)[:80])
    return Platform(declared)


def _check_connection(name: str, variables: Mapping[str, Any], platform: Platform | None) -> None:
    """SSH alone, but for a Windows host, on which nothing runs yet: it may already say how it will be reached."""
    windows = platform is Platform.WINDOWS
    if variables.get("ansible_connection", "ssh") not in ("ssh", *(WINDOWS_CONNECTIONS if windows else ())):
        raise BadInput("inventory-connection-refused", host=name, found=str(variables["ansible_connection"])[:80])
    for variable in variables:
        known = variable in ANSIBLE_VARIABLES or (windows and variable.startswith(FOR_WINDOWS))
        if variable.startswith("ansible_") and not known:
            raise BadInput("inventory-variable-refused", host=name, variable=variable)


def _check_password(name: str, variables: Mapping[str, Any]) -> None:
    """A password is named, never written down: `secret:NAME`. What stands there instead is not shown."""
    if BECOMES_WITH not in variables:
        return
    text = str(variables[BECOMES_WITH])
    if not text.startswith(MARK) or not SecretName.pattern.fullmatch(text.removeprefix(MARK)):
        raise BadInput("inventory-password-plain", host=name, variable=BECOMES_WITH)


def _check_variables(name: str, variables: Mapping[str, Any]) -> None:
    for variable, value in variables.items():
        if not variable.startswith(READ_BY_ANSIBLE):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if TEMPLATE.search(text):
            raise BadInput("inventory-value-malformed", host=name, variable=variable, found=text[:80])


def _parameters(found: Any, name: str) -> dict[str, str]:
    if not isinstance(found, dict):
        raise BadInput("inventory-value-malformed", host=name, variable="upgrader_parameters", found=str(found)[:80])
    return {
        _matching(PARAMETER, key, name, "upgrader_parameters"): _plain(value, name, f"upgrader_parameters.{key}")
        for key, value in sorted(found.items())
    }


def _port(found: Any, name: str) -> int:
    text = _plain(found, name, "ansible_port")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise BadInput("inventory-value-malformed", host=name, variable="ansible_port", found=text[:80])
    return int(text)


def _matching(pattern: re.Pattern[str], found: Any, name: str, variable: str) -> str:
    text = _plain(found, name, variable)
    if not pattern.fullmatch(text):
        raise BadInput("inventory-value-malformed", host=name, variable=variable, found=text[:80])
    return text


def _plain(found: Any, name: str, variable: str) -> str:
    """One line of text as it will be used; a template would become something else later, and yes or no is ambiguous."""
    text = str(found)
    if (
        not isinstance(found, str | int | float)
        or isinstance(found, bool)
        or TEMPLATE.search(text)
        or CONTROL.search(text)
    ):
        raise BadInput("inventory-value-malformed", host=name, variable=variable, found=text[:80])
    return text
