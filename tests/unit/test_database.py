"""A release that changes a database: what the plan refuses, what its signers are shown, and how long it may take."""

from dataclasses import replace

import pytest

from builders import make_probe, make_release, plan_of
from unit.test_form import known, shown
from upgrader.domain.changes.plan import read_plan
from upgrader.domain.errors import Refused
from upgrader.domain.names import FileName
from upgrader.domain.papers.form import make_form
from upgrader.domain.releases.database import (
    DatabaseTerms,
    DataPromise,
    MainTable,
    Migration,
    Others,
    Product,
    RowsPromise,
    Way,
)
from upgrader.domain.releases.release import Release, Strategy
from upgrader.language import Language, Texts
from upgrader.render import plan as plan_text

TERMS = DatabaseTerms(
    product=Product.POSTGRESQL,
    name="lis",
    promise=DataPromise.RESTORE,
    tables=(MainTable("public.result", RowsPromise.SAME, "login"),),
    migrations=(Migration(Way.EACH, "", FileName("010.sql")), Migration(Way.WHOLE, "bin/migrate")),
    others=Others.REFUSE,
    lock_seconds=5,
    statement_seconds=60,
    limit_seconds=600,
)


def release_of(terms: DatabaseTerms) -> Release:
    return make_release(strategy=Strategy.DATABASE, data=terms.promise, database=terms, probes=(make_probe(),))


def codes(terms: DatabaseTerms) -> list[str]:
    return [note.code for note in plan_of(release=release_of(terms)).notes]


def test_the_plan_binds_what_is_said_of_the_database() -> None:
    plan = plan_of(release=release_of(TERMS))

    assert read_plan(plan.to_bytes()).release.database == TERMS
    changed = [
        replace(TERMS, migrations=TERMS.migrations[:1]),
        replace(TERMS, promise=DataPromise.IRREVERSIBLE),
        replace(TERMS, name="his"),
        replace(TERMS, others=Others.END),
        replace(TERMS, lock_seconds=6),
    ]
    assert len({plan_of(release=release_of(terms)).digest for terms in (TERMS, *changed)}) == len(changed) + 1


def test_every_step_of_a_database_has_its_time_before_the_playbook_is_stopped() -> None:
    assert plan_of().wave_timeout_seconds == 900
    assert plan_of(release=release_of(TERMS)).wave_timeout_seconds == 900 + (6 + 2 * 2) * 600


@pytest.mark.parametrize("product", [Product.ORACLE, Product.SQL_SERVER])
def test_statements_that_nobody_has_tried_are_not_planned(product: Product) -> None:
    with pytest.raises(Refused, match="product-not-tried"):
        plan_of(release=release_of(replace(TERMS, product=product)))


def test_signers_see_what_does_not_come_back_who_is_ended_and_what_nobody_looks_at() -> None:
    bare = replace(TERMS, tables=(*TERMS.tables, MainTable("public.note", RowsPromise.ANY, "")))

    assert codes(TERMS) == []
    assert codes(replace(TERMS, promise=DataPromise.IRREVERSIBLE)) == ["no-return"]
    assert codes(replace(TERMS, others=Others.END)) == ["others-ended"]
    assert codes(bare) == ["tables-without-probe"]


@pytest.mark.parametrize("language", list(Language))
def test_the_plan_tells_migrations_and_the_point_of_no_return(language: Language) -> None:
    texts = Texts(language)
    shown = {promise: "\n".join(plan_text(plan_of(release=release_of(replace(TERMS, promise=promise))), texts))
             for promise in (DataPromise.RESTORE, DataPromise.IRREVERSIBLE)}  # fmt: skip

    assert all("1  010.sql " in text and "2  bin/migrate\n" in text for text in shown.values())
    assert texts("database.restore") in shown[DataPromise.RESTORE]
    assert texts("database.irreversible") in shown[DataPromise.IRREVERSIBLE]
    assert max(len(line) for line in shown[DataPromise.RESTORE].splitlines()) <= 100


@pytest.mark.parametrize("promise", [DataPromise.RESTORE, DataPromise.IRREVERSIBLE])
def test_the_form_shows_migrations_restore_point_and_the_point_of_no_return(promise: DataPromise) -> None:
    release = release_of(replace(TERMS, promise=promise))

    form = shown(make_form(known(release=release, plan=plan_of(release=release))), Language.EN)

    assert "database lis, in this order: 010.sql, bin/migrate" in form
    assert "proven by restoring it before anything stops (public.result compared)" in form
    assert ("POINT OF NO RETURN" in form) is (promise is DataPromise.IRREVERSIBLE)
    assert ("no point of no return" in form) is (promise is DataPromise.RESTORE)
