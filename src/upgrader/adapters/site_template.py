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


def service_unit(program: Path) -> str:
    """The systemd unit of the service (systemd.service(5)), which starts this program."""
    unit = (template_folder() / "systemd" / "upgrader-serve.service").read_text(encoding="utf-8")
    return unit.replace("ExecStart=/opt/upgrader/bin/upgrader ", f"ExecStart={program} ")


def inventory_files(folder: Path | None) -> Mapping[str, bytes]:
    """The inventory that a new site starts with: a given one, or the empty one of the reference site."""
    folder = folder or template_folder() / "inventory"
    return {f"inventory/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in _files(folder)}
