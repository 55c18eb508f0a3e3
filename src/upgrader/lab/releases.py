"""The releases that the lab's vendor delivers: two good ones, two broken as in real life."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

SYSTEM = "exam-scheduling"
VENDOR = "lanxin-health"


class Flaw(StrEnum):
    """What is wrong with a release."""

    NONE = "none"
    DIES_AT_START = "dies at start"  # a package is missing: the service ends as soon as it is started
    NOBODY_CAN_LOG_IN = "nobody can log in"  # all looks well from outside; a default changed and closes the door


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorRelease:
    version: str
    released: date
    follows: tuple[str, ...]
    summary_zh: str
    summary_en: str
    flaw: Flaw = Flaw.NONE

    @property
    def name(self) -> str:
        return f"{SYSTEM}-{self.version}"


RELEASES = (
    VendorRelease(
        version="3.1.9",
        released=date(2026, 3, 9),
        follows=("",),
        summary_zh="首次交付：全院检查统一预约",
        summary_en="first delivery: hospital-wide examination booking",
    ),
    VendorRelease(
        version="3.5.10",
        released=date(2026, 10, 12),
        follows=("3.1.9",),
        summary_zh="修正并发预约偶发重复占号，加快大日历查询",
        summary_en="no more double bookings of one slot, faster queries on large calendars",
    ),
    VendorRelease(
        version="3.6.1",
        released=date(2026, 10, 26),
        follows=("3.5.*",),
        summary_zh="改进网页预约界面，更换口令散列库",
        summary_en="better web page for bookings, another password hashing library",
        flaw=Flaw.DIES_AT_START,
    ),
    VendorRelease(
        version="3.7.1",
        released=date(2026, 11, 9),
        follows=("3.5.*",),
        summary_zh="新增日历共享，精简默认配置",
        summary_en="calendars can be shared, shorter default configuration",
        flaw=Flaw.NOBODY_CAN_LOG_IN,
    ),
)
