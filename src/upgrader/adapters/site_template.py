"""The files that a new site starts from: in a checkout they stand at its root, in an installed package inside it."""

from collections.abc import Mapping
from pathlib import Path

import upgrader

PARTS = ("ansible.cfg", "playbooks", "roles", "collections")
LEFT_OUT = frozenset({"__pycache__", ".ansible"})


def template_folder() -> Path:
    """Where the reference site is. Raises FileNotFoundError for an installation that was packed wrongly."""
    package = Path(upgrader.__file__).parent
    for folder in (package / "site", package.parent.parent):
        if (folder / "playbooks").is_dir():
            return folder
    raise FileNotFoundError("the reference site is missing from this installation")


def template_files() -> Mapping[str, bytes]:
    """Playbooks, roles, collections and ansible.cfg, by path relative to the site."""
    folder = template_folder()
    found = [path for part in PARTS for path in _files(folder / part)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and not LEFT_OUT & set(file.parts)]


def inventory_files(folder: Path | None) -> Mapping[str, bytes]:
    """The inventory that a new site starts with: a given one, or an example with one host to be replaced."""
    if folder is None:
        return {"inventory/hosts.yml": EXAMPLE_INVENTORY.encode(), "inventory/known_hosts": b""}
    return {f"inventory/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in _files(folder)}


EXAMPLE_INVENTORY = """\
---
# 主机清单：每个系统一个组，组名即系统名（连字符写成下划线）。The only list of hosts: one group per system.
# 主机公钥写入同目录 known_hosts：ssh-keyscan -t ed25519 ADDRESS >> known_hosts，并与设备科核对指纹。
# Pin each host's key in known_hosts beside this file, and compare its fingerprint by another way.
all:
  children:
    exam_scheduling:
      hosts: {}
"""
