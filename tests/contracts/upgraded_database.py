"""A host whose program and database go to a new version together: the script, a shell, a real server."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from contracts.postgres_cluster import DATABASE, OWNER, SUPERUSER, Cluster
from contracts.sh_host import Build, ShHost, make_build, whole_script

SCRIPT = whole_script("database")
PATIENT = "王小明"
KEY, LATER = "CHG-2026-0001.0123456789ab", "CHG-2026-0002.0123456789ab"
RESTING = "lis_at_rest"  # what every test's database is a copy of
TABLES = f"""
SET ROLE {OWNER};
CREATE TABLE patient (id int PRIMARY KEY, name text UNIQUE, weight numeric);
CREATE TABLE result (
    id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, patient int REFERENCES patient, value numeric(10, 3));
INSERT INTO patient SELECT g, CASE g WHEN 1 THEN '{PATIENT}' ELSE 'patient ' || g END, 1.10 * g
    FROM generate_series(1, 5) g;
INSERT INTO result (patient, value) SELECT g % 5 + 1, g FROM generate_series(1, 20) g;
"""
EVERYTHING = """
SELECT md5(string_agg(r::text, '|' ORDER BY id)) FROM patient r;
SELECT md5(string_agg(r::text, '|' ORDER BY id)) FROM result r;
SELECT string_agg(format('%s.%s %s', table_name, column_name, data_type), ',' ORDER BY table_name, ordinal_position)
    FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema');
SELECT (SELECT array_agg(a ORDER BY a::text) FROM unnest(datacl) a), datconnlimit, datallowconn, datdba::regrole
    FROM pg_database WHERE datname = current_database();
SELECT setconfig FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database());
"""
# What the suite's program does to its database; twice would fail.
MIGRATE = """#!/bin/sh
exec {psql} -X -q -v ON_ERROR_STOP=1 -1 -c 'ALTER TABLE patient ADD COLUMN since_{version} int'
"""


@dataclass(frozen=True, slots=True)
class Sql:
    """A file of migrations, as release.yml declares it."""

    path: Path
    way: str = "whole"

    @property
    def line(self) -> str:
        return f"sql {self.way} {digest(self.path)} {self.path.name}"


@cache
def digest(path: Path) -> str:
    """Of a file that nobody changes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class DatabaseBuild(Build):
    """A program (the archive at `path`, or none on this host) and its migrations."""

    migrations: tuple[Sql | str, ...] = ()
    has_program: bool = True

    @property
    def files(self) -> Sequence[Path]:
        sql = [migration.path for migration in self.migrations if isinstance(migration, Sql)]
        return [self.path, *sql] if self.has_program else sql

    @property
    def sha256(self) -> str:
        if len(self.files) == 1:
            return digest(self.files[0])
        return hashlib.sha256("".join(sorted(f"{digest(f)}  {f.name}\n" for f in self.files)).encode()).hexdigest()

    def inputs(self) -> str:
        lines = [f"build={digest(file)} {file.stat().st_size} {file.name}" for file in self.files]
        lines += [f"migration={m.line if isinstance(m, Sql) else f'command - - {m}'}" for m in self.migrations]
        return "".join(f"{line}\n" for line in lines) + (f"program={digest(self.path)}\n" if self.has_program else "")


@dataclass
class UpgradedDatabase(ShHost):
    cluster: Cluster = field(kw_only=True)
    tables: tuple[str, ...] = ("public.patient any", "public.result same")

    @property
    def text(self) -> str:
        return SCRIPT

    @property
    def safe(self) -> Path:
        return self.state / f"restore.{KEY}"

    @property
    def written(self) -> Path:
        return self.state / f"written-since.{KEY}.jsonl"

    def program(self, version: str, *migrations: Sql | str, **texts: str | bytes) -> DatabaseBuild:
        made = make_build(self.folder, version, **texts)  # type: ignore[arg-type]
        return DatabaseBuild(made.path, version, migrations)

    def sql(self, text: str, way: str = "whole") -> Sql:
        path = self.folder / f"{uuid.uuid4().hex[:6]}.sql"
        path.write_text(text, encoding="utf-8")
        return Sql(path, way)

    def lines(self, build: Build, **inputs: Any) -> str:
        assert isinstance(build, DatabaseBuild)
        values = {
            "database": DATABASE,
            "promise": "restore",
            "lock_seconds": 1,
            "statement_seconds": 10,
            "limit_seconds": 60,
            "file": build.files[0].name,
            "size": sum(file.stat().st_size for file in build.files),
            **{f"parameter.{name}": value for name, value in self.cluster.parameters.items()},
            "parameter.database_admin": SUPERUSER,
            **({} if build.has_program else {"manager": "none", "health": "", "config.from": "", "config.to": ""}),
            **inputs,
        }
        lines = super().lines(build, **values).removesuffix("end=inputs\n")
        if not build.has_program:
            lines = lines.replace("config.from=\nconfig.to=\n", "")
        return lines + "".join(f"table={table}\n" for table in self.tables) + build.inputs() + "end=inputs\n"

    def run(self, verb: str, build: Build, **inputs: Any) -> dict[str, Any]:
        fact = super().run(verb, build, **inputs)
        assert PATIENT not in str(fact)
        return fact

    def run_script(self, script: Path, verb: str, build: Build, **inputs: Any) -> dict[str, Any]:
        """As `run`, with another script than the one that hosts get."""
        ended = subprocess.run(
            self.command(verb, script),
            input=self.lines(build, **inputs).encode(),
            capture_output=True,
            env=self.environment,
            timeout=60,
            check=True,
        )
        fact: dict[str, Any] = json.loads(ended.stdout.decode().splitlines()[-1])
        return fact

    def send(self, build: Build) -> None:
        assert isinstance(build, DatabaseBuild)
        incoming = self.state / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        for file in build.files:
            shutil.copyfile(file, incoming / f"{digest(file)}.0.part")

    def apply(self, build: Build, **inputs: Any) -> dict[str, Any]:
        fact = self.run("apply", build, **inputs)
        if fact.get("need") != "build":
            return fact
        self.send(build)
        return self.run("apply", build, sent=1, **inputs)

    def rehearse(self, build: Build, **inputs: Any) -> dict[str, Any]:
        self.send(build)
        return self.run("rehearse", build, **inputs)

    def install_by_hand(self, build: DatabaseBuild, parameters: Mapping[str, str] | None = None) -> None:
        """The program in its folder, noted as the script does, and started; the database is as it is.

        With `parameters`, templates are filled with them, and with the folder.
        """
        home = self.root / "versions" / build.version
        (self.root / "shared").mkdir(parents=True)
        with tarfile.open(build.path) as archive:
            archive.extractall(home, filter="data")
        for template in [*home.glob("etc/*.in"), home / "bin/health"] if parameters is not None else []:
            text = template.read_text()
            for name, value in {**(parameters or {}), "home": str(home)}.items():
                text = text.replace(f"@{name}@", value)
            target = template.with_name(template.name.removesuffix(".in"))
            target.write_text(text)
        (home / ".upgrader").write_text(f"sha256={build.sha256}\nversion={build.version}\n")
        (self.root / "current").symlink_to(f"versions/{build.version}")
        subprocess.run([home / "bin/service", "start"], env=self.environment, check=True)

    def ask(self, statements: str, *, database: str = DATABASE) -> str:
        return self.cluster.ask(statements, role=OWNER, database=database)

    def everything(self) -> str:
        return self.ask(EVERYTHING)

    def databases(self) -> set[str]:
        listed = self.cluster.ask("SELECT datname FROM pg_database WHERE NOT datistemplate").splitlines()
        return set(listed) - {"postgres", RESTING, DATABASE}

    def kept_rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.read_text(encoding="utf-8").splitlines()]


def suite_build(host: UpgradedDatabase, version: str, **texts: str | bytes) -> DatabaseBuild:
    """A build of the protocol's suite, whose only migration is the program's own command."""
    name = version.replace(".", "_")
    files = {**texts, "bin/migrate": MIGRATE.format(psql=host.cluster.bin / "psql", version=name)}
    return host.program(version, "bin/migrate", **files)


def prepare(cluster: Cluster) -> None:
    """The database that every test starts with, at rest."""
    cluster.ask(f"CREATE DATABASE {RESTING} OWNER {OWNER}")
    cluster.ask(TABLES, database=RESTING)


def upgraded_database(cluster: Cluster, folder: Path, shell: str, path: str) -> Iterator[UpgradedDatabase]:
    made = fresh_host(cluster, folder, shell, path)
    yield made
    made.end()


def fresh_host(cluster: Cluster, folder: Path, shell: str, path: str) -> UpgradedDatabase:
    """A host with nothing installed, and the database as it is at rest."""
    made = UpgradedDatabase(folder, shell, path, cluster=cluster)
    for name in {*made.databases(), DATABASE}:
        cluster.ask(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    cluster.ask(f"CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE {RESTING}")
    cluster.ask(f"ALTER DATABASE {DATABASE} SET search_path = public, pg_temp")
    return made
