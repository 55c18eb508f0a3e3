"""The types of the fields that documents have in common: each a type of ours and the reader that makes it."""

from datetime import datetime
from typing import Annotated

from upgrader.adapters.documents.models import Model, at_least_one, no_two_alike, reads
from upgrader.adapters.documents.values import (
    day,
    inside,
    inside_command,
    instant,
    local_time,
    matching,
    named,
    prose,
    public_key,
    yes_or_no,
    zone,
)
from upgrader.domain.digest import Digest
from upgrader.domain.names import ChangeId, FileName, PersonId, RoleId, SiteId, SystemId, Version

DAY = 86_400
HOSTS = r"[A-Za-z0-9_.!,*&:][A-Za-z0-9_.!,*&:-]{0,499}"

System = Annotated[SystemId, reads(named(SystemId, "exam-scheduling"))]
VersionText = Annotated[Version, reads(named(Version, "3.5.10"))]
Change = Annotated[ChangeId, reads(named(ChangeId, "CHG-2026-0142"))]
PersonText = Annotated[PersonId, reads(named(PersonId, "li.na"))]
VendorText = Annotated[PersonId, reads(named(PersonId, "lanxin-health"))]
RoleText = Annotated[RoleId, reads(named(RoleId, "information-department"))]
SiteText = Annotated[SiteId, reads(named(SiteId, "renmin-hospital"))]
File = Annotated[FileName, reads(named(FileName, "exam-scheduling-3.5.10.tar.gz"))]
Sha256 = Annotated[Digest, reads(matching(r"[0-9a-f]{64}", "e3b0c442…7852b855 (64)", Digest))]
Inside = Annotated[str, reads(inside)]
InsideCommand = Annotated[str, reads(inside_command)]
Day = Annotated[str, reads(day)]
Instant = Annotated[datetime, reads(instant)]
LocalTime = Annotated[datetime, reads(local_time)]
Zone = Annotated[str, reads(zone)]
PublicKey = Annotated[str, reads(public_key)]
Flag = Annotated[bool, reads(yes_or_no)]
HostPattern = Annotated[str, reads(matching(HOSTS, "exam_scheduling", str))]
Label = Annotated[str, reads(prose(100))]
Line = Annotated[str, reads(prose(1000))]
PublicKeys = Annotated[tuple[PublicKey, ...], at_least_one(), no_two_alike()]


class Bilingual(Model):
    """The same in Chinese and in English; who reads the other one is not left out."""

    zh: Line
    en: Line

    def as_mapping(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}
