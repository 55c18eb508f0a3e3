"""The systems as the inventory describes them: on a commit of the branch, or in the person's own clone."""

from upgrader.domain.hospital.dependency import Graph
from upgrader.flow.site import Site
from upgrader.ports import Snapshot

FOLDER = "inventory/group_vars"


def graph_on(site: Site, snapshot: Snapshot) -> Graph:
    """The systems as a commit describes them; a site may describe none. Raises BadInput for a wrong description."""
    return site.systems({blob.path: blob.content for blob in snapshot.files(FOLDER)})


def graph_here(site: Site) -> Graph:
    """The systems as the person's clone describes them, for their questions; no decision rests on it."""
    root = site.clone.root
    files = [path for path in (root / FOLDER).rglob("*.yml") if path.is_file()]
    return site.systems({path.relative_to(root).as_posix(): path.read_bytes() for path in files})
