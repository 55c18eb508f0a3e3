"""Which statements a file holds: as PostgreSQL's own lexer parts them, under every awk that a host may have."""

import shutil
import subprocess
from pathlib import Path

import pytest

from contracts.sh_host import REPOSITORY

SPLITTER = REPOSITORY / "collections/ansible_collections/upgrader/host/plugins/host/database/split_postgresql.sh"
FILES = {
    # the file: how many statements PostgreSQL sees in it
    "SELECT 1; SELECT 2": 2,
    "-- heading; no statement\n/* one; /* two; */ three; */ SELECT 1;;;\n;": 1,
    r"SELECT 'a;b', 'it''s;', '\'; SELECT 2": 2,
    r"SELECT E'a\';b', e'c''d\';', 'x\'; SELECT 2": 2,
    "SELECT E'a\n\\';\n'; SELECT 2": 2,
    'SELECT "a;b""c;" FROM t; SELECT 2': 2,
    "DO $$ BEGIN PERFORM 1; END $$; DO $a$ SELECT '$$;'; $a$; SELECT $1;": 3,
    "SELECT a$b$ FROM t; SELECT 2": 2,
    "CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2); SELECT 3": 2,
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 1 END; END; SELECT 3": 2,
    "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT 1; END;\nCALL p()": 2,
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$; BEGIN; SELECT 1; END;": 4,
    "INSERT INTO t VALUES ('王小明;'), (U&'\\0061;'); SELECT 2\r\n": 2,
}
REFUSED = {
    "\\! touch x": "a command of psql is no statement (line 1)",
    "SELECT 1;\n\\q": "a command of psql is no statement (line 2)",
    "SELECT 1 \\gexec": "a command of psql is no statement (line 1)",
    "COPY t\nFROM STDIN;\n1\n": "rows from a client (COPY FROM STDIN) are no statement (line 2)",
    "SELECT 'a; SELECT 2": "a quote or a comment has no end",
    "/* SELECT 1;": "a quote or a comment has no end",
    "-- nothing\n": "there is no statement",
    "": "there is no statement",
}
BUSYBOX = shutil.which("busybox")


@pytest.fixture(params=["awk", "busybox"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "awk":
        return "/usr/bin:/bin"
    if BUSYBOX is None:
        pytest.skip("NO BUSYBOX TRIED: it is not installed")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("awk", "rm", "mkdir", "cat"):
        (tools / name).symlink_to(BUSYBOX)
    return str(tools)


def split(tmp_path: Path, path: str, text: str) -> tuple[list[str], str]:
    """The statements, and what was said."""
    file, folder, output = tmp_path / "a.sql", tmp_path / "parts", tmp_path / "output"
    file.write_bytes(text.encode())
    command = f'output={output}; . {SPLITTER}; db_split "$1" "$2"'
    ended = subprocess.run(
        ["/bin/sh", "-c", command, "-", file, folder], env={"PATH": path, "LC_ALL": "C"}, check=False
    )
    said = output.read_text()
    assert (ended.returncode == 0) is (said == ""), said
    return [part.read_text() for part in sorted(folder.glob("*.sql"))], said


@pytest.mark.parametrize(("text", "count"), FILES.items())
def test_a_file_is_parted_as_the_server_would(tmp_path: Path, path: str, text: str, count: int) -> None:
    parts, said = split(tmp_path, path, text)

    assert (len(parts), said) == (count, ""), parts
    assert all(part.strip() in text for part in parts)


@pytest.mark.parametrize(("text", "why"), REFUSED.items())
def test_what_is_no_plain_sql_is_refused(tmp_path: Path, path: str, text: str, why: str) -> None:
    assert split(tmp_path, path, text)[1].startswith(why)


def functions_of(part: str) -> set[str]:
    lines = (SPLITTER.parent / part).read_text(encoding="utf-8").splitlines()
    return {line.partition("(")[0] for line in lines if line.startswith("db_") and "() {" in line}


@pytest.mark.parametrize("product", ["oracle", "sqlserver"])
def test_every_product_answers_to_the_same_functions_and_is_marked_as_untested(product: str) -> None:
    wanted = functions_of("migrate_postgresql.sh") | functions_of("split_postgresql.sh")

    assert len(wanted) > 15
    assert functions_of(f"migrate_{product}.sh") == wanted
    assert (SPLITTER.parent / f"migrate_{product}.sh").read_text(encoding="utf-8").startswith("# UNTESTED")
