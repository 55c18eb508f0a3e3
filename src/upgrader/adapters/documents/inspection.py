"""inspection.yml: what the hospital lets be looked at, by day and by week, outside of any change."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from upgrader.adapters.documents.fields import HostPattern, System
from upgrader.adapters.documents.models import Finding, Model, at_least_one, reads
from upgrader.adapters.documents.reading import read_document
from upgrader.adapters.documents.release import AnyProbe
from upgrader.adapters.documents.values import whole
from upgrader.domain.hospital.inspection import Item, Limits, Round

Number = Annotated[int, reads(whole(-(10**12), 10**12))]
Percent = Annotated[int, reads(whole(0, 1000))]


def read_inspection(content: bytes, file: str) -> Sequence[Item]:
    """Read an inspection.yml. Raises BadInput `document-invalid` with everything that is wrong with it."""
    return tuple(read_document(_Inspection, content, file).model.items())


class _Looked(Model):
    system: System
    hosts: HostPattern
    probe: AnyProbe
    at_most: Number | None = None
    at_least: Number | None = None
    drift_percent: Percent | None = None

    def to_domain(self, round: Round) -> Item:
        limits = Limits(at_most=self.at_most, at_least=self.at_least, drift_percent=self.drift_percent)
        return Item(round=round, system=self.system, hosts=self.hosts, probe=self.probe.to_domain(), limits=limits)


class _Inspection(Model):
    daily: Annotated[tuple[_Looked, ...], at_least_one()]
    weekly: tuple[_Looked, ...] = ()

    def items(self) -> Iterator[Item]:
        for round in Round:
            for looked in getattr(self, round):
                yield looked.to_domain(round)

    def findings(self) -> Iterator[Finding]:
        """A probe of a system is known by its name: twice the same name would be one thing that is looked at."""
        for round in Round:
            seen: set[tuple[str, str]] = set()
            for n, looked in enumerate(getattr(self, round)):
                place = (looked.system, looked.probe.name)
                if place in seen:
                    yield Finding((round, n, "probe", "name"), "duplicate-value", {"found": looked.probe.name})
                seen.add(place)
