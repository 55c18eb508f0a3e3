"""Workdays: which days a country works, its make-up days included, as the library `holidays` knows them."""

from collections.abc import Iterable
from datetime import date

import holidays

from upgrader.domain.hospital.calendar import Workdays

EVERY_YEAR = frozenset(range(2000, 2200))
# Countries that move workdays to week-ends: a year for which none is known yet has not been announced.
MOVES_WORKDAYS = frozenset({"CN"})


def countries() -> frozenset[str]:
    """The ISO 3166 codes of the countries that are known."""
    return frozenset(holidays.list_supported_countries())


def workdays_of(country: str | None, years: Iterable[int]) -> Workdays:
    """The workdays of a country in these years; Monday to Friday without one."""
    if country is None:
        return Workdays(frozenset(), frozenset(), EVERY_YEAR)
    years = frozenset(years)
    known = holidays.country_holidays(country, years=sorted(years))
    made_up: set[date] = {day for day in getattr(known, "weekend_workdays", ()) if day.year in years}
    announced = frozenset(day.year for day in made_up) if country in MOVES_WORKDAYS else EVERY_YEAR
    return Workdays(frozenset(day for day in known if day.weekday() < 5), frozenset(made_up), announced)
