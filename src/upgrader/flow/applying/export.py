"""Export: all that plain Ansible needs for an authorized change, for the night the controller is dead."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.errors import BadInput
from upgrader.flow.applying import upgrade
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.debts import check_none_overdue
from upgrader.flow.site import Site


@dataclass(frozen=True, slots=True)
class Exported:
    """The folder's parts: the approved tree, the variable `upgrade` with its builds beside it, and the waves' hosts."""

    folder: Path
    waves: tuple[tuple[str, ...], ...]


def export_change(site: Site, change: str, folder: Path) -> Exported:
    """Write what an authorized change runs into a new folder: `tree/`, the builds, and `upgrade.json`.

    The gate is asked first, as for `apply`, but for the window: whoever runs it by hand keeps to that. `upgrade.json`
    names the builds beside it, so the folder may be moved.
    """
    folder = folder.absolute()
    if folder.exists():
        raise BadInput("folder-not-empty", folder=folder)
    with gate.examine(site, change) as examined:
        check_none_overdue(site, examined.plan)
        gate.authorized_at_any_time(site, examined)
        builds = gate.verified_builds(site, examined.plan)
        shutil.copytree(examined.tree.path, folder / "tree")
        gate.check_tree(site, examined.tree)
        plan = examined.plan
    for build in plan.builds:
        shutil.copyfile(builds[build.sha256], folder / build.file)
    hosts = [host.name for host in plan.hosts]
    beside = {build.sha256: Path("..") / build.file for build in plan.builds}
    variable = {"upgrade": upgrade.instruction(plan, hosts, beside)}
    (folder / "upgrade.json").write_text(json.dumps(variable, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return Exported(folder, tuple(tuple(wave.hosts) for wave in plan.waves))
