"""Where things stand in a site repository, and how a person's files get there."""

from collections.abc import Mapping

from upgrader.flow.site import Site
from upgrader.ports import Snapshot

INSPECTIONS = "inspections"
EXECUTED = ("ansible.cfg", "collections", "inventory", "playbooks", "roles")


def release_folder(system: str, version: str) -> str:
    return f"releases/{system}/{version}"


def change_folder(change: str) -> str:
    return f"approvals/{change}"


def staged_versions(snapshot: Snapshot, system: str) -> set[str]:
    """The versions of a system whose releases the commit holds."""
    folder = release_folder(system, "")
    return {blob.path.removeprefix(folder).split("/")[0] for blob in snapshot.files(folder.rstrip("/"))}


def publish(site: Site, files: Mapping[str, bytes], message: str) -> None:
    """Write files into the person's clone, commit exactly these, and push.

    Everything is checked before the first byte is written; a push that fails says so and leaves the commit in place.
    """
    for path, content in files.items():
        target = site.clone.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    site.clone.commit([site.clone.root / path for path in sorted(files)], message)
    site.clone.push()
