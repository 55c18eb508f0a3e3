"""Deliverables: the verified builds of a plan, and the patches by which hosts that hold an earlier one get them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from upgrader.domain.digest import Digest
from upgrader.domain.errors import Integrity
from upgrader.domain.releases.release import Strategy
from upgrader.flow.approval import authorize as gate
from upgrader.flow.approval.authorize import Examined
from upgrader.flow.planning.materials import earlier_releases
from upgrader.flow.site import Site
from upgrader.ports import Patch


@dataclass(frozen=True, slots=True)
class Deliverables:
    """Paths of builds that were hashed just now, by digest, and patches that give some of them."""

    paths: Mapping[Digest, Path]
    patches: tuple[Patch, ...] = ()


NOTHING = Deliverables({})


def deliverables(site: Site, examined: Examined) -> Deliverables:
    """All that the hosts of this plan may be sent. Raises Integrity naming the first build that is damaged."""
    return Deliverables(gate.verified_builds(site, examined.plan), tuple(_patches(site, examined)))


def _patches(site: Site, examined: Examined) -> Iterator[Patch]:
    """One for each earlier release that a host runs and whose build is still whole in the store.

    Only an archive of one build is patched: the host must hold exactly what its version was unpacked from.
    """
    plan = examined.plan
    if plan.release.strategy is not Strategy.ARCHIVE or len(plan.release.builds) != 1:
        return
    installed = {host.installed for host in plan.hosts}
    earlier = earlier_releases(site, examined.snapshot, examined.files.release, installed)
    for release in earlier.values():
        if release.strategy is Strategy.ARCHIVE and len(release.builds) == 1:
            with suppress(Integrity):  # an earlier build that is gone costs a full transfer, nothing else
                if patch := site.patches.patch(release.builds[0], plan.release.builds[0]):
                    yield patch
