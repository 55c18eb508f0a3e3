"""Programs and databases that go to a new version together, on a real PostgreSQL: the database itself is asked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.postgres_cluster import DATABASE, OWNER, Cluster, postgres_cluster, programs
from contracts.upgraded_database import (
    LATER,
    PATIENT,
    DatabaseBuild,
    UpgradedDatabase,
    prepare,
    upgraded_database,
)

pytestmark = pytest.mark.skipif(
    programs() is None, reason="postgresql is not installed; run tools/system-packages as root"
)
ADD = "ALTER TABLE result ADD COLUMN unit text; UPDATE result SET unit = 'mmol/l';"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres_cluster() as cluster:
        prepare(cluster)
        yield cluster


@pytest.fixture
def host(cluster: Cluster, tmp_path: Path) -> Iterator[UpgradedDatabase]:
    yield from upgraded_database(cluster, tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin")


@pytest.fixture
def old(host: UpgradedDatabase) -> DatabaseBuild:
    """Version 1.0, installed by hand and running."""
    build = host.program("1.0", host.sql("SELECT 1"))
    host.install_by_hand(build)
    return build


def test_program_and_database_go_to_the_new_version_and_back_together(
    host: UpgradedDatabase, old: DatabaseBuild
) -> None:
    host.cluster.ask(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC;"
                     f"GRANT CONNECT ON DATABASE {DATABASE} TO {OWNER};"
                     f"ALTER DATABASE {DATABASE} SET work_mem = '5MB';"
                     f"ALTER DATABASE {DATABASE} CONNECTION LIMIT 9")  # fmt: skip
    before = host.everything()
    new = host.program("2.0", host.sql(ADD))

    up = host.apply(new, base="1.0")
    confirmed = host.run("confirm", new)
    after = host.everything()
    back = host.run("revert", new)

    assert (up["outcome"], up["current"], confirmed["outcome"]) == ("upgraded", "2.0", "upgraded"), up
    assert after != before
    assert (back["outcome"], back["current"]) == ("rolled-back", "1.0"), back
    assert host.everything() == before
    assert host.service_runs()
    facts = ["began", "proven", "armed", "switch-started", "restore-point", "migrated", "healthy", "confirmed"]
    assert host.facts[-11:] == [*facts, "undo-started", "restored", "taken-back"]


def test_rows_written_since_the_upgrade_are_kept_in_a_file(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    before = host.everything()
    new = host.program("2.0", host.sql(ADD))
    host.apply(new, base="1.0")
    host.run("confirm", new)
    host.ask("INSERT INTO result (patient, value, unit) VALUES (1, 99, 'g'); UPDATE result SET value = 7 WHERE id = 2;"
             f"DELETE FROM result WHERE id = 3; INSERT INTO patient VALUES (9, '{PATIENT} 2', 1)")  # fmt: skip

    back = host.run("revert", new)

    assert host.everything() == before
    kept = [(row["table"], row["row"]["id"]) for row in host.kept_rows() if "row" in row]
    assert kept == [("public.patient", 9), ("public.result", 21), ("public.result", 2)]
    assert [row["gone"] for row in host.kept_rows() if "gone" in row] == [{"table": "public.result", "id": 3}]
    assert back["detail"].startswith("4 rows written since, sha256:"), back
    assert back["detail"].endswith(f", are kept in {host.written}")
    assert host.written.stat().st_mode & 0o777 == 0o600
    (left,) = host.databases()
    assert left.startswith("lis_left_")
    assert "cannot" in refused_connection(host, left)


def refused_connection(host: UpgradedDatabase, name: str) -> str:
    with pytest.raises(AssertionError) as refused:
        host.ask("SELECT 1", database=name)
    return str(refused.value).replace("not currently accepting", "cannot")


def test_the_database_of_a_later_change_is_all_that_stays_beside_it(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    new, newer = host.program("2.0", host.sql(ADD)), host.program("2.1", host.sql(ADD))
    host.apply(new, base="1.0")
    host.run("revert", new)
    assert len(host.databases()) == 1

    up = host.apply(newer, base="1.0", key=LATER)
    host.run("confirm", newer, key=LATER, keep=1)

    assert up["outcome"] == "upgraded", up
    assert host.databases() == set()
    assert not host.safe.exists()
    assert sorted(path.name for path in host.state.glob("restore.*")) == [f"restore.{LATER}"]


REHEARSED = {
    # what is wrong: (the file, how it runs, in the detail)
    "statement 7 of 12": (";".join(["SELECT 1"] * 6 + ["\nSELECT nothing"] + ["SELECT 1"] * 5),
                          "whole", "statement 7 of 12"),
    "at its end": ("ALTER TABLE result ALTER CONSTRAINT result_patient_fkey DEFERRABLE INITIALLY DEFERRED;"
                   "UPDATE result SET patient = 77", "whole", "at its end: a constraint"),
    "commit": (f"{ADD} COMMIT; DROP TABLE result", "whole", "SQLSTATE 0A000"),
    "rows lost": ("DELETE FROM result WHERE id > 15", "whole", "public.result had 20 rows and has 15"),
    "too long": ("SELECT pg_sleep(20)", "each", "SQLSTATE 57014"),
    "too long in a transaction": ("SELECT pg_sleep(20)", "whole", "SQLSTATE 57014"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "way", "said"), REHEARSED.values(), ids=REHEARSED)
def test_a_migration_that_can_not_work_is_found_while_the_old_version_serves(
    host: UpgradedDatabase, old: DatabaseBuild, tmp_path: Path, text: str, way: str, said: str
) -> None:
    before, calls = host.everything(), host.calls
    trap = tmp_path / "trap"

    fact = host.apply(host.program("2.0", host.sql(text.replace("{trap}", str(trap)), way)), base="1.0",
                      statement_seconds=1)  # fmt: skip

    assert (fact["outcome"], fact["changed"], fact["current"]) == ("failed", False, "1.0"), fact
    assert fact["step"] in ("migration", "rows")
    assert said in fact["detail"]
    assert (host.everything(), host.calls, host.databases()) == (before, calls, set())
    assert host.facts[-1] == "failed"
    assert not trap.exists()


@pytest.mark.parametrize("way", ["whole", "each"])
def test_a_migration_waits_for_a_lock_no_longer_than_it_may(
    host: UpgradedDatabase, old: DatabaseBuild, way: str
) -> None:
    """The databases of a server share what is said of them: somebody holds that, and it is waited for."""
    taken = f"COMMENT ON DATABASE {DATABASE} IS 'in use'"
    before = host.everything()

    with host.cluster.holding(taken):
        fact = host.apply(host.program("2.0", host.sql(taken, way)), base="1.0", lock_seconds=1)

    assert (fact["outcome"], fact["changed"], fact["current"], fact["step"]) == ("failed", False, "1.0", "migration")
    assert "SQLSTATE 55P03" in fact["detail"]
    assert host.everything() == before


def only_for_real(then: str) -> str:
    """A statement that goes well in the rehearsal, and not when it counts."""
    return f"DO $$ BEGIN IF current_database() = '{DATABASE}' THEN {then}; END IF; END $$"


FAILING = {
    # what breaks after the stop: (migrations of a file each, step, in the detail)
    "whole": ([ADD, f"SELECT 1; {only_for_real('PERFORM 1 / 0')}; SELECT 1"], "migration", "statement 2 of 3"),
    "each": (["ALTER TABLE result ADD x int; CREATE INDEX CONCURRENTLY ON result (x);"
              + only_for_real("PERFORM 1 / 0")], "migration", "statement 3 of 3"),
    "rows": ([ADD, only_for_real("DELETE FROM public.result WHERE id = 1")], "rows", "had 20 rows and has 19"),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "step", "said"), FAILING.values(), ids=FAILING)
def test_a_migration_that_fails_after_the_stop_is_taken_back(
    host: UpgradedDatabase, old: DatabaseBuild, texts: list[str], step: str, said: str
) -> None:
    before = host.everything()
    way = "each" if "CONCURRENTLY" in texts[0] else "whole"

    fact = host.apply(host.program("2.0", *(host.sql(text, way) for text in texts)), base="1.0")

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", step, "1.0"), fact
    assert said in fact["detail"]
    assert host.everything() == before
    assert host.service_runs()
    assert host.calls[-2:] == ["stop 1.0", "start 1.0"]  # the new program never started on half a schema
    assert not host.written.exists()
    if way == "each":
        noted = (host.safe / "steps.restored").read_text().splitlines()
        assert noted[1:6] == ["began 0001", "done 0001", "began 0002", "done 0002", "began 0003"]
        assert noted[-1].startswith("failed at statement 3 of 3 of ")


def test_a_second_attempt_of_the_same_change_goes_back_by_its_own_restore_point(
    host: UpgradedDatabase, old: DatabaseBuild
) -> None:
    before = host.everything()
    in_the_way = "DO $$ BEGIN IF to_regclass('in_the_way') IS NOT NULL THEN PERFORM 1 / 0; END IF; END $$"
    new = host.program("2.0", host.sql(f"{ADD} {in_the_way}"))
    host.rehearse(new, base="1.0")
    host.ask("CREATE TABLE in_the_way ()")
    assert host.apply(new, base="1.0")["outcome"] == "rolled-back"

    host.ask("DROP TABLE in_the_way")
    assert host.apply(new, base="1.0")["outcome"] == "upgraded"
    host.ask("INSERT INTO result (patient) VALUES (1)")
    back = host.run("revert", new)

    assert (back["outcome"], back["current"]) == ("rolled-back", "1.0"), back
    assert host.everything() == before
    assert len(host.databases()) == 2
    assert len(host.kept_rows()) == 1


def test_an_ill_new_version_goes_back_with_its_database(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    before = host.everything()
    psql = f"{host.cluster.bin}/psql -q -h {host.cluster.folder} -U {OWNER} {DATABASE}"
    wrote = f"{psql} -c 'INSERT INTO result (patient) VALUES (1)'"

    fact = host.apply(host.program("2.0", host.sql(ADD), health=f"{wrote}; exit 1"), base="1.0")

    assert (fact["outcome"], fact["step"], fact["current"]) == ("rolled-back", "health", "1.0"), fact
    assert "1 rows written since, sha256:" in fact["detail"]
    assert host.everything() == before
    assert host.service_runs()


def test_others_who_stay_connected_stop_it_or_are_ended(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    before = host.everything()
    new = host.program("2.0", host.sql(ADD))

    with host.cluster.holding("SELECT 1"):
        refused = host.apply(new, base="1.0")
        assert (refused["outcome"], refused["step"]) == ("rolled-back", "others"), refused
        assert f"{OWNER} psql" in refused["detail"]
        assert host.everything() == before
        ended = host.apply(new, base="1.0", others="end")

    assert ended["outcome"] == "upgraded", ended


def test_nobody_else_writes_between_the_restore_point_and_the_start(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    psql = f"{host.cluster.bin}/psql -q -h {host.cluster.folder} -U {OWNER}"
    stranger = f'env -u PGOPTIONS {psql} "$PGDATABASE" -c "INSERT INTO result (patient) VALUES (1)" || exit 0; exit 7'

    fact = host.apply(
        host.program(
            "2.0", "bin/migrate", **{"bin/migrate": f"#!/bin/sh\n[ $PGDATABASE = lis ] || exit 0\n{stranger}\n"}
        ),
        base="1.0",
    )

    assert fact["outcome"] == "upgraded", fact
    assert host.ask("SELECT count(*) FROM result") == "20"
    host.ask("INSERT INTO result (patient) VALUES (1)")  # from the start on everybody writes again


def test_what_can_not_be_proven_stops_before_any_change(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    before, calls = host.everything(), host.calls
    new = host.program("2.0", host.sql(ADD))
    tools = host.folder / "tools"
    tools.mkdir()
    for name in ("psql", "pg_dump", "pg_restore"):
        (tools / name).symlink_to(host.cluster.bin / name)
    (tools / "pg_restore").unlink()

    missing = host.run("probe", new, base="1.0", **{"parameter.database_programs": tools})
    (tools / "pg_restore").write_text("#!/bin/sh\nexit 0\n")
    (tools / "pg_restore").chmod(0o755)
    hollow = host.apply(new, base="1.0", **{"parameter.database_programs": tools})
    (tools / "pg_dump").unlink()
    (tools / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.1'; exit 1\n")
    (tools / "pg_dump").chmod(0o755)
    broken = host.apply(new, base="1.0", **{"parameter.database_programs": tools})
    unable = host.run("probe", new, base="1.0", **{"parameter.database_admin": OWNER})
    nowhere = host.run("probe", new, base="1.0", database="elsewhere")

    assert (missing["would"], missing["step"]) == ("failed", "tools")
    assert (hollow["outcome"], hollow["step"], hollow["changed"]) == ("failed", "proof", False), hollow
    assert "the backup does not restore: public.patient" in hollow["detail"]
    assert (broken["outcome"], broken["step"], broken["changed"]) == ("failed", "backup", False), broken
    assert (unable["would"], unable["step"]) == ("failed", "role"), unable
    assert (nowhere["would"], nowhere["step"]) == ("failed", "connect"), nowhere
    assert (host.everything(), host.calls, host.databases()) == (before, calls, set())


def test_without_room_for_backups_nothing_begins(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    host.extra = ""
    fact = host.run("probe", host.program("2.0", host.sql(ADD)), base="1.0")
    assert fact["would"] == "upgraded"

    small = host.text.replace("SPARE_KB=16384", "SPARE_KB=99999999999999")
    (host.folder / "small.sh").write_text(small)
    told = host.run_script(host.folder / "small.sh", "probe", host.program("2.0", host.sql(ADD)), base="1.0")

    assert (told["would"], told["step"]) == ("failed", "space")


def test_a_damaged_restore_point_is_said_and_nothing_is_touched(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    new = host.program("2.0", host.sql(ADD))
    host.apply(new, base="1.0")
    host.run("confirm", new)
    after = host.everything()
    dump = host.safe / "point.dump"
    dump.write_bytes(dump.read_bytes()[:-1] + b"?")

    fact = host.run("revert", new)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "revert", False), fact
    assert "is not what was kept" in fact["detail"]
    assert (host.everything(), host.current) == (after, "2.0")
    assert host.service_runs()


def test_beyond_the_point_of_no_return_nothing_goes_back(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    new = host.program("2.0", host.sql(ADD))
    before = host.everything()
    failing = host.apply(
        host.program("2.0", host.sql(only_for_real("PERFORM 1 / 0"))), base="1.0", promise="irreversible"
    )
    assert (failing["outcome"], host.everything()) == ("rolled-back", before), failing

    host.apply(new, base="1.0", promise="irreversible", key=LATER)
    host.run("confirm", new, key=LATER)
    fact = host.run("revert", new, promise="irreversible", key=LATER)

    assert (fact["outcome"], fact["step"], fact["changed"]) == ("failed", "revert", False), fact
    assert "can not go back" in fact["detail"]
    assert host.current == "2.0"
    assert host.service_runs()


def test_an_ill_version_beyond_the_point_of_no_return_calls_for_a_person(
    host: UpgradedDatabase, old: DatabaseBuild
) -> None:
    fact = host.apply(host.program("2.0", host.sql(ADD), health="exit 1"), base="1.0", promise="irreversible")

    assert (fact["outcome"], fact["current"]) == ("failed", "2.0"), fact
    assert "the way back failed at no-return" in fact["detail"]
    assert host.facts[-1] == "undo-failed"


def test_a_dry_run_proves_and_tries_and_leaves_nothing(host: UpgradedDatabase, old: DatabaseBuild) -> None:
    before, calls = host.everything(), host.calls
    new = host.program("2.0", host.sql(ADD))

    fact = host.rehearse(new, base="1.0")
    bad = host.rehearse(host.program("2.0", host.sql("SELECT nothing")), base="1.0", key=LATER)

    assert (fact["outcome"], fact["step"], fact["would"]) == ("unchanged", "rehearse", "upgraded"), fact
    assert fact["detail"].startswith("restore proven in ")
    assert fact["detail"].endswith(" s: public.patient 5, public.result 20")
    assert (bad["outcome"], bad["step"], bad["changed"]) == ("failed", "migration", False)
    assert (host.everything(), host.calls, host.databases()) == (before, calls, set())
    assert not (host.root / "versions/2.0").exists()
    proof = (host.safe / "proof").read_text()
    assert host.apply(new, base="1.0")["outcome"] == "upgraded"
    assert (host.safe / "proof").read_text() == proof  # the same change does not prove it twice


def test_migrations_without_a_program_are_a_version_too(host: UpgradedDatabase) -> None:
    before = host.everything()
    first = DatabaseBuild(host.folder, "1.0", (host.sql(ADD), host.sql("SELECT 1")), has_program=False)
    second = DatabaseBuild(host.folder, "1.1", (host.sql("CREATE TABLE more (id int)"),), has_program=False)

    assert host.apply(first)["outcome"] == "upgraded"
    assert host.run("confirm", first)["outcome"] == "upgraded"
    assert host.apply(second, base="1.0", key=LATER)["outcome"] == "upgraded"
    assert host.run("revert", second, key=LATER)["current"] == "1.0"
    back = host.run("revert", first)

    assert (back["outcome"], back["current"]) == ("rolled-back", ""), back
    assert host.everything() == before
