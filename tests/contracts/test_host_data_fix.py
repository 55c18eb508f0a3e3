"""Corrections of data on a real PostgreSQL: what runs, what is refused, what is kept; the database itself is asked."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.database_host import KEY, LATER, PATIENT, RAISE, SYSTEM, VERSION, DatabaseHost, database_host
from contracts.postgres_cluster import OWNER, Cluster, postgres_cluster, programs

pytestmark = pytest.mark.skipif(
    programs() is None, reason="postgresql is not installed; run tools/system-packages as root"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres_cluster() as cluster:
        yield cluster


@pytest.fixture
def host(cluster: Cluster, tmp_path: Path) -> Iterator[DatabaseHost]:
    yield from database_host(cluster, tmp_path, shutil.which("dash") or "/bin/sh", "/usr/bin:/bin")


def test_exactly_the_expected_rows_change_and_come_back(host: DatabaseHost) -> None:
    before = host.everything()

    run = host.run("apply")
    confirmed = host.run("confirm")
    after = host.everything()
    back = host.run("revert")

    assert (run["outcome"], run["current"], run["changed"]) == ("upgraded", VERSION, True)
    assert (confirmed["outcome"], confirmed["changed"]) == ("upgraded", False)
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "6.000"
    assert after != before
    assert (back["outcome"], back["current"]) == ("rolled-back", "")
    assert host.everything() == before
    assert host.facts() == ["began", "committed", "confirmed", "undo-started", "taken-back"]


def test_it_runs_once_whoever_asks_again(host: DatabaseHost) -> None:
    host.run("apply")

    same, other = host.run("apply"), host.run("apply", key=LATER)
    elsewise = host.run("apply", RAISE.replace("10", "100"), key=LATER)

    assert (same["outcome"], same["changed"]) == ("upgraded", False)
    assert (other["outcome"], other["detail"]) == ("unchanged", f"was run by {KEY}")
    assert (elsewise["outcome"], elsewise["step"]) == ("failed", "base")
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "60.000"


def test_after_it_was_taken_back_another_change_may_run_it(host: DatabaseHost) -> None:
    host.run("apply")
    host.run("revert")

    assert host.run("revert")["outcome"] == "unchanged"
    assert host.run("apply", key=LATER)["outcome"] == "upgraded"


def test_the_undo_file_is_for_nobody_else_and_named_by_its_digest(host: DatabaseHost) -> None:
    run = host.run("apply", f"UPDATE patient SET name = 'x' WHERE name = '{PATIENT}'", "public.patient 1")

    digest = subprocess.run(["sha256sum", host.undo], capture_output=True, check=True, text=True).stdout[:64]
    assert run["detail"] == f"1 rows; undo file sha256:{digest}"
    assert PATIENT in host.undo.read_text()
    assert host.undo.stat().st_mode & 0o777 == 0o600
    assert host.undo.read_text() not in (host.state / "journal").read_text()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("INSERT INTO result (patient, value) VALUES (1, 5); DELETE FROM result WHERE id = 5",
                     ("public.result 2",), id="inserted and deleted"),
        pytest.param("DELETE FROM patient WHERE id = 2", ("public.patient 1", "public.result 4"), id="cascade"),
        pytest.param(f"{RAISE} {RAISE} UPDATE result SET value = 0 WHERE id = 1", ("public.result 3",), id="thrice"),
        pytest.param("UPDATE note SET id = 77 WHERE id = 5", ("public.note 2",), id="new key"),
        pytest.param("INSERT INTO result (patient, value) VALUES (1, 1); DELETE FROM result WHERE id > 20;"
                     "UPDATE result SET value = 9 WHERE id = 1", ("public.result 2",), id="came and went"),
        pytest.param("UPDATE patient SET name = repeat(md5(id::text), 500) WHERE id = 3",
                     ("public.patient 1",), id="long"),
        pytest.param("UPDATE patient SET name = E'a\\tb\\\\.\\n\\'' || chr(10) || '\\.', weight = 'NaN', raw = NULL"
                     " WHERE id = 4", ("public.patient 1",), id="odd"),
        pytest.param("SET search_path = pg_temp; UPDATE public.result SET value = 0 WHERE id = 4",
                     ("public.result 1",), id="another search path"),
    ],
)  # fmt: skip
def test_whatever_the_statements_do_the_way_back_gives_the_same_rows(
    host: DatabaseHost, text: str, rows: tuple[str, ...]
) -> None:
    before = host.everything()

    assert host.run("apply", text, *rows)["outcome"] == "upgraded"
    assert host.everything() != before
    assert host.run("revert", text, *rows)["outcome"] == "rolled-back"

    assert host.everything() == before


def test_what_a_table_s_own_trigger_does_is_declared_too_and_taken_back(host: DatabaseHost) -> None:
    host.ask("CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS"
             " $$ BEGIN INSERT INTO public.note (said) VALUES ('changed ' || NEW.id); RETURN NEW; END $$;"
             "CREATE TRIGGER noted BEFORE UPDATE ON result FOR EACH ROW EXECUTE FUNCTION noted()")  # fmt: skip
    before = host.everything()

    undeclared = host.run("apply")
    assert (undeclared["outcome"], undeclared["step"]) == ("failed", "guard")
    assert "public.note" in undeclared["detail"]
    both = ("public.result 3", "public.note 3")
    assert host.run("apply", RAISE, *both)["outcome"] == "upgraded"
    assert host.run("revert", RAISE, *both)["outcome"] == "rolled-back"

    assert host.everything() == before


REFUSED = {
    # what is wrong: (statements, declared, step, in the detail)
    "one row fewer": ("UPDATE result SET value = 0 WHERE id <= 2", "rows", "expected 3 rows in public.result, found 2"),
    "one row more": ("UPDATE result SET value = 0 WHERE id <= 4", "rows", "found 4"),
    "nothing": ("-- nothing", "rows", "found 0"),
    "another table": (f"{RAISE} UPDATE patient SET weight = 0 WHERE id = 1", "guard", "public.patient"),
    "a cascade": ("DELETE FROM patient WHERE id = 2", "guard", "public.patient"),
    "commit": (f"{RAISE} COMMIT; DELETE FROM result", "statements", "0A000"),
    "rollback": (f"ROLLBACK; {RAISE}", "statements", "0A000"),
    "commit in a block": (f"{RAISE} DO $$ BEGIN COMMIT; END $$", "statements", "2D000"),
    "savepoint": (f"SAVEPOINT x; {RAISE}", "statements", "0A000"),
    "two phases": (f"{RAISE} PREPARE TRANSACTION 'x'", "statements", "0A000"),
    "psql runs a program": (f"{RAISE}\n\\! touch {{trap}}\n", "statements", "42601"),
    "psql leaves": (f"\\q\n{RAISE}", "statements", "42601"),
    "psql copies": (f"{RAISE}\n\\copy result to '{{trap}}'\n", "statements", "42601"),
    "a back quote of psql": (f"\\set x `touch {{trap}}`\n{RAISE}", "statements", "42601"),
    "a variable of psql": (f"{RAISE} SELECT :'build'", "statements", "42601"),
    "a program of the server": (f"COPY result TO PROGRAM 'touch {{trap}}'; {RAISE}", "statements", "42501"),
    "a file of the server": (f"COPY result TO '{{trap}}'; {RAISE}", "statements", "42501"),
    "copy from the client": ("COPY result FROM STDIN", "statements", "0A000"),
    "truncate": (f"TRUNCATE result; {RAISE}", "guard", "more than rows"),
    "a definition": (f"{RAISE} CREATE TABLE more (id int)", "guard", "more than rows"),
    "an index dropped": (f"{RAISE} ALTER TABLE patient DROP CONSTRAINT patient_name_key", "guard", "more than rows"),
    "triggers off": (f"ALTER TABLE result DISABLE TRIGGER USER; {RAISE} ALTER TABLE result ENABLE TRIGGER USER",
                     "guard", "more than rows"),
    "our trigger replaced": ("CREATE OR REPLACE FUNCTION pg_temp.upgrader_capture() RETURNS trigger LANGUAGE plpgsql AS"
                             f" 'BEGIN RETURN NULL; END'; {RAISE}", "guard", "more than rows"),
    "our images forged": (f"{RAISE} WITH d AS (DELETE FROM pg_temp.upgrader_touched RETURNING *)"
                          " INSERT INTO pg_temp.upgrader_touched SELECT * FROM d", "guard", "own temporary"),
    "our expectation raised": ("UPDATE result SET value = 0 WHERE id <= 4;"
                               " UPDATE pg_temp.upgrader_tables SET expected = 4", "guard", "own temporary"),
    "our note": (f"{RAISE} INSERT INTO upgrader.corrections VALUES ('k', 's', 'v', 'b', 'u', 1)",
                 "guard", "upgrader.corrections"),
    "a large object": (f"{RAISE} SELECT lo_create(99)", "guard", "more than rows"),
    "another role": (f"SET ROLE postgres; {RAISE}", "statements", "42501"),
    "replication role": (f"SET session_replication_role = replica; {RAISE}", "statements", "42501"),
    "counting off": (f"SET track_counts = off; {RAISE}", "statements", "42501"),
    "too long": (f"{RAISE} SET statement_timeout = 0; SELECT pg_sleep(30)", "statements", "57014"),
    "a constraint": (f"UPDATE patient SET name = '{PATIENT}'", "statements", "23505"),
    "words of the vendor": (f"DO $$ BEGIN RAISE EXCEPTION '{PATIENT}' USING ERRCODE = 'UP001'; END $$",
                            "statements", "UP001"),
    "lines like ours": ("SET client_min_messages = notice; DO $$ BEGIN RAISE NOTICE E'x\\nstep rows\\nnote a b c d"
                        "\\nrows public.result 3 3\\nforgotten\\ncommitted'; END $$", "rows", "found 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_and_nothing_is_changed(host: DatabaseHost, fault: str) -> None:
    text, step, said = REFUSED[fault]
    trap = host.sh.folder / "trap"
    host.sh.folder.chmod(0o777)
    before = host.everything()

    fact = host.run("apply", text.replace("{trap}", str(trap)), statement_seconds=1)

    assert (fact["outcome"], fact["changed"], fact["step"], fact["current"]) == ("failed", False, step, ""), fact
    assert said in fact["detail"]
    assert host.everything() == before
    assert not trap.exists()
    assert not host.undo.exists()


def test_a_dry_run_shows_the_rows_and_changes_nothing(host: DatabaseHost) -> None:
    before = host.everything()
    text = "UPDATE patient SET name = 'x', weight = 2 WHERE id = 1; DELETE FROM result WHERE id = 20"

    fact = host.run("rehearse", text, "public.patient 1", "public.result 1")

    assert (fact["outcome"], fact["changed"], fact["would"]) == ("unchanged", False, "upgraded")
    assert fact["detail"] == "public.patient 1 of 1, public.result 1 of 1"
    first, second = fact["rows"]
    assert (first["table"], first["before"]["name"], first["after"]["name"]) == ("public.patient", PATIENT, "x")
    assert (second["before"]["id"], second["after"]) == (20, None)
    assert host.everything() == before
    assert host.ask("SELECT to_regclass('upgrader.corrections') IS NULL") == "t"
    assert sorted(path.name for path in host.state.iterdir() if path.suffix != ".build") == ["incoming", "journal"]


def test_a_dry_run_tells_a_wrong_count_and_shows_no_row(host: DatabaseHost) -> None:
    fact = host.run("rehearse", RAISE, "public.result 4")

    assert (fact["outcome"], fact["detail"]) == ("failed", "expected 4 rows in public.result, found 3")
    assert "rows" not in fact


def test_rows_that_somebody_changed_since_are_left_alone_all_of_them(host: DatabaseHost) -> None:
    host.run("apply")
    host.ask("UPDATE result SET value = 7 WHERE id = 2")
    before = host.everything()

    fact = host.run("revert")

    assert (fact["outcome"], fact["changed"], fact["current"]) == ("failed", False, VERSION)
    assert fact["detail"] == "1 rows of public.result were changed since"
    assert host.everything() == before
    host.ask("UPDATE result SET value = 20 WHERE id = 2")
    assert host.run("revert")["outcome"] == "rolled-back"


def test_rows_that_hang_on_ours_since_are_not_dragged_away(host: DatabaseHost) -> None:
    host.run("apply", "INSERT INTO patient VALUES (9, 'new')", "public.patient 1")
    host.ask("INSERT INTO result (patient, value) VALUES (9, 1)")

    fact = host.run("revert", "INSERT INTO patient VALUES (9, 'new')", "public.patient 1")

    assert (fact["outcome"], fact["step"]) == ("failed", "undo")
    assert host.ask("SELECT count(*) FROM result WHERE patient = 9") == "1"


def test_what_could_not_be_taken_back_is_not_run(host: DatabaseHost) -> None:
    """The way back would delete the new key, and by the foreign key all that hangs on it."""
    before = host.everything()

    fact = host.run("apply", "UPDATE patient SET id = 77 WHERE id = 5", "public.patient 2", "public.result 4")

    assert (fact["outcome"], fact["changed"], fact["step"]) == ("failed", False, "undo")
    assert host.everything() == before


def test_a_changed_undo_file_is_not_used(host: DatabaseHost) -> None:
    host.run("apply")
    host.undo.write_text(host.undo.read_text().replace("1.000", "9.000"))

    fact = host.run("revert")

    assert (fact["outcome"], fact["step"], fact["current"]) == ("failed", "undo", VERSION)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("ALTER TABLE result DROP CONSTRAINT result_pkey", "no primary key"),
        ("DROP TABLE result CASCADE", "no table public.result"),
        ("DROP TABLE result; CREATE VIEW result AS SELECT 1 AS id", "not an ordinary table"),
        ("CREATE TABLE child () INHERITS (result)", "not an ordinary table"),
    ],
)
def test_what_could_never_be_run_or_taken_back_is_told_before_there_is_a_plan(
    host: DatabaseHost, prepare: str, said: str
) -> None:
    host.ask(prepare)

    fact = host.run("probe")

    assert (fact["would"], fact["step"]) == ("failed", "check")
    assert said in fact["detail"]
    host.ask(
        "DROP TABLE IF EXISTS child; DROP VIEW IF EXISTS result" if "VIEW" in prepare else "DROP TABLE IF EXISTS child"
    )


def test_a_role_that_may_do_more_than_change_rows_is_refused(host: DatabaseHost) -> None:
    superuser = host.run("probe", **{"parameter.database_role": "postgres"})
    host.cluster.ask(f"GRANT pg_execute_server_program TO {OWNER}")
    member = host.run("apply")
    host.cluster.ask(f"REVOKE pg_execute_server_program FROM {OWNER}")

    assert "superuser" in superuser["detail"]
    assert (member["outcome"], member["step"]) == ("failed", "check")
    assert "pg_execute_server_program" in member["detail"]


def test_a_database_that_does_not_answer_is_said_before_anything(host: DatabaseHost) -> None:
    fact = host.run("apply", **{"parameter.database_host": str(host.sh.folder)})

    assert (fact["outcome"], fact["changed"], fact["step"]) == ("failed", False, "connect")


def test_a_table_in_use_is_waited_for_and_then_left(host: DatabaseHost) -> None:
    with host.cluster.holding("SELECT count(*) FROM result"):
        dry, fact = host.run("rehearse"), host.run("apply")

    assert dry["outcome"] == "unchanged"  # a dry run lets others read
    assert (fact["outcome"], fact["step"]) == ("failed", "lock")
    assert "55P03" in fact["detail"]


def wait_for(what: Callable[[], bool]) -> None:
    for _ in range(200):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("did not happen in time")


def backend(host: DatabaseHost) -> int:
    found = host.cluster.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'upgrader'"
                             " AND state = 'active' AND wait_event = 'PgSleep'")  # fmt: skip
    return int(found or 0)


def psql_of(host: DatabaseHost) -> int:
    """The psql that this host's script runs; its environment is our own, so it is known by its arguments."""
    for folder in Path("/proc").iterdir():
        try:
            ours = folder.name.isdigit() and f"{host.state}/ask.".encode() in (folder / "cmdline").read_bytes()
            if ours and (folder / "comm").read_text().strip() == "psql":
                return int(folder.name)
        except OSError:  # it ended meanwhile
            continue
    raise AssertionError("no psql runs")


@pytest.mark.parametrize("victim", ["psql", "server", "both"])
def test_killed_in_the_middle_nothing_was_done_and_the_same_call_does_it_once(host: DatabaseHost, victim: str) -> None:
    before = host.everything()
    slow = f"{RAISE} SELECT pg_sleep(1.5);"
    working = host.begun("apply", slow)
    wait_for(lambda: backend(host) != 0)

    psql = psql_of(host)
    match victim:
        case "psql":
            os.kill(psql, signal.SIGKILL)
            host.ended(working)
        case "server":
            host.cluster.stop(signal.SIGKILL)
            assert host.ended(working)["outcome"] == "failed"
            host.cluster.start()
        case _:  # the power of the database host
            host.sh.end()
            os.kill(psql, signal.SIGKILL)
            working.communicate()
            host.cluster.stop(signal.SIGKILL)
            host.cluster.start()
    assert host.run("status", slow, lock_seconds=5)["current"] == ""
    assert host.everything() == before
    again = host.run("apply", slow)

    assert again["outcome"] == "upgraded", again
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "60.000"


def test_a_psql_that_outlives_its_script_is_waited_for(host: DatabaseHost) -> None:
    slow = f"{RAISE} SELECT pg_sleep(1);"
    working = host.begun("apply", slow)
    wait_for(lambda: backend(host) != 0)
    os.kill(working.pid, signal.SIGKILL)
    working.communicate()

    again = host.run("apply", slow, lock_seconds=10)

    assert (again["outcome"], again["changed"]) == ("upgraded", False), again
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "60.000"


def test_killed_right_after_the_commit_it_is_not_run_again(host: DatabaseHost) -> None:
    text = host.script.read_text()
    host.script.write_text(text.replace("    said=$detail failed_at=$step\n    look\n", "    kill -KILL $$\n", 1))
    host.begun("apply", RAISE).communicate()
    host.script.write_text(text)
    assert host.facts() == ["began"]

    again = host.run("apply")

    assert (again["outcome"], again["changed"], again["current"]) == ("upgraded", False, VERSION)
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "60.000"
    assert host.run("revert")["outcome"] == "rolled-back"


def test_two_at_once_are_one(host: DatabaseHost) -> None:
    """Two controllers, or a script that lives on after its controller: the database decides."""
    other = host.script.with_name("other")
    other.write_text(host.script.read_text().replace("/corrections", "/others"))
    slow = f"{RAISE} SELECT pg_sleep(0.5);"
    incoming = host.sh.folder / "state/others" / SYSTEM / "incoming"
    incoming.mkdir(parents=True)
    build = host.statements(slow)
    shutil.copyfile(build.path, incoming / f"{build.sha256}.0.part")

    first = host.begun("apply", slow)
    host.script, mine = other, host.script
    second = host.begun("apply", slow, key=LATER, lock_seconds=10)
    facts = [host.ended(first), host.ended(second)]
    host.script = mine

    assert sorted(fact["changed"] for fact in facts) == [False, True], facts
    assert host.ask("SELECT sum(value) FROM result WHERE id <= 3") == "60.000"


@pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")
def test_the_same_under_busybox(cluster: Cluster, tmp_path: Path) -> None:
    applets = tmp_path / "busybox"
    applets.mkdir()
    subprocess.run([str(shutil.which("busybox")), "--install", "-s", str(applets)], check=True)
    for host in database_host(cluster, tmp_path, str(applets / "sh"), str(applets)):
        before = host.everything()
        assert host.run("rehearse")["would"] == "upgraded"
        assert host.run("apply")["outcome"] == "upgraded"
        assert host.run("revert")["outcome"] == "rolled-back"
        assert host.everything() == before
