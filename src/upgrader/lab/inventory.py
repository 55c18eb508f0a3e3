"""The lab's Ansible inventory: static, with every host key pinned beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

from upgrader.lab.host import SERVICE_PORT, LabHost
from upgrader.lab.keys import public_text


def write_inventory(directory: Path, hosts: Sequence[LabHost]) -> None:
    """Write hosts.yml, known_hosts and group_vars/all.yml; the private key is named by the caller, never in here."""
    (directory / "group_vars").mkdir(parents=True, exist_ok=True)
    _replace(directory / "group_vars" / "all.yml", "ansible_python_interpreter: /usr/bin/python3\n")
    _replace(directory / "known_hosts", "".join(f"{h.known_as} {public_text(h.host_key)}\n" for h in hosts))
    _replace(directory / "hosts.yml", _hosts_file(hosts))


def _hosts_file(hosts: Sequence[LabHost]) -> str:
    """The first third are servers, the rest the examination departments' own stations."""
    servers = max(1, len(hosts) // 3)
    lines = ["---", "all:", "  children:", "    exam_scheduling:", "      children:"]
    lines += _group("exam_scheduling_servers", hosts[:servers])
    lines += _group("exam_scheduling_stations", hosts[servers:])
    return "\n".join(lines) + "\n"


def _group(name: str, hosts: Sequence[LabHost]) -> list[str]:
    if not hosts:
        return []
    lines = [f"        {name}:", "          hosts:"]
    for host in hosts:
        lines.append(f"            {host.name}:")
        lines += [f"              {key}: {_scalar(value)}" for key, value in _variables(host).items()]
        lines.append("              upgrader_parameters:")
        lines.append(f"                address: {_scalar(host.address)}")
        lines.append(f"                port: {SERVICE_PORT}")
    return lines


def _variables(host: LabHost) -> dict[str, str | int]:
    return {
        "ansible_host": host.address,
        "ansible_port": host.port,
        "ansible_user": host.user,
        "upgrader_root": host.upgrader_root,
        "upgrader_state": host.upgrader_state,
        "upgrader_service_manager": host.service_manager,
    }


def _scalar(value: str | int) -> str:
    """Texts are quoted: a JSON text is a YAML text, and stays a text whatever it looks like."""
    return json.dumps(value, ensure_ascii=False)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
