# The statements of a correction for PostgreSQL 11 and later; strategy/data-fix.sh puts them together and runs psql.
#
# What the vendor wrote is data here: psql reads it into a variable and hands it to PL/pgSQL's EXECUTE, so no command of
# psql can run and no transaction control can: SPI refuses both (PostgreSQL 15, 43.5.4 and 47.1, SPI_ERROR_TRANSACTION and
# SPI_ERROR_COPY). What it did is told by triggers, row by row, and by the server's own counters of this transaction
# (pg_stat_xact_*), which only a superuser can turn off or set back.

# Every refusal of ours is raised as UP001, in words of ours; of any other error only its SQLSTATE is told, for the
# database's words may hold a patient's data.

sql_front() { # how values are written, so that an image reads back as the same value wherever it is read
    cat <<'SQL'
\set ON_ERROR_STOP on
\set VERBOSITY verbose
\pset pager off
\echo step connect
SELECT pg_catalog.current_setting('search_path') AS search_path \gset
SET search_path = pg_catalog, pg_temp;
SET client_min_messages = error;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = 3;
SET lock_timeout = :'lock_timeout';
SET statement_timeout = :'statement_timeout';
SET idle_in_transaction_session_timeout = '120s';
SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval' \g /dev/null
\echo step role
SQL
}

# What must be so before anything begins. `declared` is a VALUES list: number, schema, table, rows expected.
sql_check() {
    cat <<'SQL'
WITH declared(number, schema_name, table_name, expected) AS (VALUES :declared),
found AS (
    SELECT number, format('%s.%s', schema_name, table_name) AS name, c.oid, c.relkind, c.relowner, c.relpersistence,
        c.relhasrules, c.relrowsecurity AND c.relforcerowsecurity AS hides_rows
    FROM declared LEFT JOIN pg_namespace n ON n.nspname = schema_name
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = table_name),
me AS (SELECT r.* FROM pg_roles r WHERE rolname = current_user),
refusals(rank, said) AS (
    SELECT 1, 'the server is a standby: corrections run on the primary' WHERE pg_is_in_recovery()
    UNION ALL SELECT 2, format('the role %s may do more than change rows (superuser, createrole, createdb, replication or bypassrls)', rolname)
        FROM me WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    UNION ALL SELECT 3, format('the role %s is a member of %s', current_user, rolname) FROM pg_roles
        WHERE (rolname LIKE 'pg\_%server%' OR rolname IN ('pg_write_all_data', 'pg_signal_backend', 'pg_checkpoint') OR rolsuper)
        AND pg_has_role(current_user, oid, 'member')
    UNION ALL SELECT 4, 'track_counts is off: nobody could tell which tables were touched' WHERE current_setting('track_counts') <> 'on'
    UNION ALL SELECT 5, 'triggers are off in this session (session_replication_role)' WHERE current_setting('session_replication_role') <> 'origin'
    UNION ALL SELECT 6, format('there is no table %s', name) FROM found WHERE oid IS NULL
    UNION ALL SELECT 7, format('%s is not an ordinary table', name) FROM found WHERE relkind <> 'r' OR relpersistence <> 'p'
        OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = oid)
    UNION ALL SELECT 8, format('%s has rewrite rules', name) FROM found WHERE relhasrules AND EXISTS (SELECT FROM pg_rewrite WHERE ev_class = oid)
    UNION ALL SELECT 9, format('%s hides rows from its owner (row security is forced)', name) FROM found WHERE hides_rows
    UNION ALL SELECT 10, format('%s does not belong to the role %s', name, current_user) FROM found WHERE NOT pg_has_role(relowner, 'USAGE')
    UNION ALL SELECT 11, format('%s has no primary key: its rows could not be found again', name) FROM found
        WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = oid AND indisprimary)
    UNION ALL SELECT 12, format('the role %s may not make the schema upgrader, in which corrections are noted', current_user)
        WHERE to_regclass('upgrader.corrections') IS NULL
        AND NOT has_database_privilege(current_database(), 'CREATE') AND to_regnamespace('upgrader') IS NULL
    UNION ALL SELECT 13, format('upgrader.corrections does not belong to the role %s', current_user) FROM pg_class
        WHERE oid = to_regclass('upgrader.corrections') AND NOT pg_has_role(relowner, 'USAGE'))
SELECT coalesce((SELECT said FROM refusals WHERE said IS NOT NULL ORDER BY rank, said LIMIT 1), '') AS refusal \gset
SELECT :'refusal' <> '' AS refused \gset
\if :refused
\echo refused :refusal
\quit
\endif
SQL
}

# What this database knows of the correction: `none`, or which change ran it, from which build, and the undo file's digest.
sql_note() {
    cat <<'SQL'
\echo step note
SELECT to_regclass('upgrader.corrections') IS NOT NULL AS has_notes \gset
\if :has_notes
BEGIN;
LOCK TABLE upgrader.corrections IN SHARE MODE; -- waits for a run whose psql is gone and that has not ended yet
SELECT 'note ' || key || ' ' || build || ' ' || undo || ' ' || changed_rows FROM upgrader.corrections
    WHERE system = :'system' AND version = :'version' AND taken_back IS NULL;
COMMIT;
\endif
\echo noted
SQL
}

# The table in which corrections are noted. It stands in the database itself, so that rows and note are one commit, and go
# together when the database is restored.
sql_make_notes() {
    cat <<'SQL'
\echo step note
BEGIN;
CREATE SCHEMA IF NOT EXISTS upgrader;
CREATE TABLE IF NOT EXISTS upgrader.corrections (
    key text PRIMARY KEY,
    system text NOT NULL,
    version text NOT NULL,
    build text NOT NULL,
    undo text NOT NULL,
    changed_rows bigint NOT NULL,
    run timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_by text NOT NULL DEFAULT session_user,
    taken_back timestamptz);
CREATE UNIQUE INDEX IF NOT EXISTS corrections_run_once ON upgrader.corrections (system, version) WHERE taken_back IS NULL;
COMMIT;
SQL
}

# One snapshot for all: it is taken after the locks, so nothing changes below our hands. `locks` are LOCK TABLE statements.
sql_begin() {
    cat <<'SQL'
\echo step lock
BEGIN ISOLATION LEVEL REPEATABLE READ;
:locks
SELECT clock_timestamp() AS locked_at \gset
SQL
}

sql_tables() {
    cat <<'SQL'
\echo step prepare
CREATE TEMP TABLE upgrader_tables ON COMMIT DROP AS
SELECT number, c.oid AS relation, format('%I.%I', schema_name, table_name) AS name, expected,
    (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key_columns,
    (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND coalesce(to_jsonb(a) ->> 'attgenerated', '') = '') AS columns, -- there is no such column before PostgreSQL 12
    (SELECT array_agg(a.attname::text) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attidentity = 'a') AS always
FROM (VALUES :declared) AS declared(number, schema_name, table_name, expected)
JOIN pg_namespace n ON n.nspname = schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = table_name;
CREATE TEMP TABLE upgrader_images (number int, name text, key jsonb, before text, after text) ON COMMIT DROP;
CREATE FUNCTION pg_temp.upgrader_same(text[]) RETURNS text LANGUAGE sql SET search_path = pg_catalog AS
    $$ SELECT string_agg(format('upgrader_row.%I = upgrader_key.%I', c, c), ' AND ') FROM unnest($1) c $$;
SQL
}

# After each row that a statement writes: which row, and its image before. A version that this transaction itself wrote is
# known by its xmin, and is no image of what was there.
sql_watch() {
    cat <<'SQL'
CREATE TEMP TABLE upgrader_touched (
    relation oid, old_key jsonb, new_key jsonb, before text, old_version text, new_version text) ON COMMIT DROP;
CREATE FUNCTION pg_temp.upgrader_capture() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old_key jsonb;
    new_key jsonb;
BEGIN
    IF TG_OP <> 'INSERT' THEN old_key := (SELECT jsonb_object_agg(k, to_jsonb(OLD) -> k) FROM unnest(TG_ARGV) k); END IF;
    IF TG_OP <> 'DELETE' THEN new_key := (SELECT jsonb_object_agg(k, to_jsonb(NEW) -> k) FROM unnest(TG_ARGV) k); END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO pg_temp.upgrader_touched VALUES (TG_RELID, NULL, new_key, NULL, NULL, NEW.xmin::text);
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO pg_temp.upgrader_touched VALUES (TG_RELID, old_key, new_key, OLD::text, OLD.xmin::text, NEW.xmin::text);
    ELSE
        INSERT INTO pg_temp.upgrader_touched VALUES (TG_RELID, old_key, NULL, OLD::text, OLD.xmin::text, NULL);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION pg_temp.upgrader_run(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; END $$;
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM pg_temp.upgrader_tables LOOP
        EXECUTE format('CREATE TRIGGER upgrader_capture AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE PROCEDURE pg_temp.upgrader_capture(%s)',
            t.name, (SELECT string_agg(quote_literal(k), ',') FROM unnest(t.key_columns) k));
    END LOOP;
END $$;
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS catalog_before FROM pg_stat_xact_sys_tables WHERE schemaname = 'pg_catalog' \gset
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS ours_before FROM pg_stat_xact_user_tables
    WHERE schemaname LIKE 'pg\_temp\_%' AND relname <> 'upgrader_touched' \gset
SQL
}

# The vendor's statements, and then everything that would otherwise only happen at the commit.
sql_run() {
    cat <<'SQL'
\set statements `cat :'build'`
\echo step statements
SET LOCAL search_path = :search_path;
SELECT pg_temp.upgrader_run(:'statements') \g /dev/null
\unset statements
SET CONSTRAINTS ALL IMMEDIATE;
CLOSE ALL;
SET LOCAL search_path = pg_catalog, pg_temp;
\echo step guard
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS catalog_after FROM pg_stat_xact_sys_tables WHERE schemaname = 'pg_catalog' \gset
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS ours_after FROM pg_stat_xact_user_tables
    WHERE schemaname LIKE 'pg\_temp\_%' AND relname <> 'upgrader_touched' \gset
SELECT coalesce(string_agg(format('%s.%s', schemaname, relname), ', ' ORDER BY schemaname, relname), '') AS strangers
    FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname NOT LIKE 'pg\_temp\_%'
    AND format('%I.%I', schemaname, relname) NOT IN (SELECT format('%I.%I', s, t) FROM (VALUES :declared) AS declared(n, s, t, e)) \gset
SELECT coalesce(string_agg(DISTINCT relation::regclass::text, ', '), '') AS far_away FROM pg_locks JOIN pg_class c ON c.oid = relation
    WHERE pid = pg_backend_pid() AND relkind = 'f' AND mode <> 'AccessShareLock' \gset
SELECT CASE
    WHEN :catalog_after <> :catalog_before THEN 'the statements change more than rows: definitions of the database, or a table as a whole (TRUNCATE)'
    WHEN :ours_after <> :ours_before THEN 'the statements touch upgrader''s own temporary tables'
    WHEN :'far_away' <> '' THEN 'foreign tables were touched: ' || :'far_away'
    WHEN :'strangers' <> '' THEN 'tables were touched that the release does not declare: ' || :'strangers'
    WHEN current_user <> session_user THEN 'the statements change the role'
    WHEN current_setting('session_replication_role') <> 'origin' THEN 'the statements turn triggers off'
    ELSE '' END AS refusal \gset
SELECT :'refusal' <> '' AS refused \gset
\if :refused
\echo refused :refusal
\quit
\endif
SQL
}

# From here on our temporary functions are known to be ours: a statement that had replaced one changed the catalog.
sql_images() {
    cat <<'SQL'
DO $$
DECLARE
    t record;
    seen bigint;
    counted bigint;
BEGIN
    FOR t IN SELECT * FROM pg_temp.upgrader_tables ORDER BY number LOOP
        SELECT count(*) INTO seen FROM pg_temp.upgrader_touched WHERE relation = t.relation;
        SELECT n_tup_ins + n_tup_upd + n_tup_del INTO counted FROM pg_stat_xact_user_tables WHERE relid = t.relation;
        IF seen <> coalesce(counted, 0) THEN
            RAISE EXCEPTION 'the server counts % changes in %, the triggers saw %', counted, t.name, seen USING ERRCODE = 'UP001';
        END IF;
        EXECUTE format($images$
            INSERT INTO pg_temp.upgrader_images
            SELECT %s, %L, touched.key, touched.before, now.image FROM (
                SELECT key, max(before) AS before FROM (
                    SELECT old_key AS key, CASE WHEN old_version NOT IN (
                        SELECT new_version FROM pg_temp.upgrader_touched WHERE new_version IS NOT NULL) THEN before END AS before
                    FROM pg_temp.upgrader_touched WHERE relation = %s AND old_key IS NOT NULL
                    UNION ALL
                    SELECT new_key, NULL FROM pg_temp.upgrader_touched WHERE relation = %s AND new_key IS NOT NULL) AS each GROUP BY key) AS touched
            LEFT JOIN LATERAL (
                SELECT upgrader_row::text AS image FROM jsonb_populate_record(NULL::%s, touched.key) AS upgrader_key
                JOIN %s AS upgrader_row ON %s) AS now ON true $images$,
            t.number, t.name, t.relation, t.relation, t.name, t.name, pg_temp.upgrader_same(t.key_columns));
    END LOOP;
    PERFORM FROM pg_stat_xact_user_tables WHERE relid = 'pg_temp.upgrader_touched'::regclass
        AND (n_tup_upd + n_tup_del > 0 OR n_tup_ins <> (SELECT count(*) FROM pg_temp.upgrader_touched));
    IF FOUND THEN RAISE EXCEPTION 'the statements touch upgrader''s own temporary tables' USING ERRCODE = 'UP001'; END IF;
END $$;
\echo step rows
SELECT 'rows ' || t.name || ' ' || t.expected || ' ' || count(i.key) FROM pg_temp.upgrader_tables t
    LEFT JOIN pg_temp.upgrader_images i USING (number) GROUP BY t.number, t.name, t.expected ORDER BY t.number;
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT u.name, u.expected, count(i.key) AS found FROM pg_temp.upgrader_tables u
        LEFT JOIN pg_temp.upgrader_images i USING (number) GROUP BY u.number, u.name, u.expected ORDER BY u.number LOOP
        IF t.found <> t.expected THEN
            RAISE EXCEPTION 'expected % rows in %, found %', t.expected, t.name, t.found USING ERRCODE = 'UP001';
        END IF;
    END LOOP;
END $$;
SQL
}

# Put the images before back, and see that they are back. Triggers of the tables stay quiet meanwhile: what they once did is
# itself among the images. Rows that somebody changed since are left alone, all of them.
sql_undo() {
    cat <<'SQL'
\echo step undo
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) AS rows_before FROM pg_stat_xact_user_tables WHERE schemaname NOT LIKE 'pg\_temp\_%' \gset
CREATE TEMP TABLE upgrader_quiet ON COMMIT DROP AS
SELECT t.name AS table_name, g.tgname, g.tgenabled FROM pg_temp.upgrader_tables t JOIN pg_trigger g ON g.tgrelid = t.relation
    WHERE NOT g.tgisinternal AND g.tgenabled <> 'D';
CREATE FUNCTION pg_temp.upgrader_expect(side text, said text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    differing bigint;
BEGIN
    FOR t IN SELECT * FROM pg_temp.upgrader_tables ORDER BY number LOOP
        EXECUTE format('SELECT count(*) FROM pg_temp.upgrader_images i LEFT JOIN LATERAL (
            SELECT upgrader_row::text AS image FROM jsonb_populate_record(NULL::%s, i.key) AS upgrader_key
            JOIN %s AS upgrader_row ON %s) AS now ON true
            WHERE i.number = %s AND i.before IS DISTINCT FROM i.after AND now.image IS DISTINCT FROM i.%I',
            t.name, t.name, pg_temp.upgrader_same(t.key_columns), t.number, side) INTO differing;
        IF differing > 0 THEN RAISE EXCEPTION '% rows of % %', differing, t.name, said USING ERRCODE = 'UP001'; END IF;
    END LOOP;
END $$;
SELECT pg_temp.upgrader_expect('after', 'were changed since') \g /dev/null
DO $$
DECLARE
    q record;
    t record;
    settable text[];
BEGIN
    FOR q IN SELECT * FROM pg_temp.upgrader_quiet LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', q.table_name, q.tgname);
    END LOOP;
    FOR t IN SELECT * FROM pg_temp.upgrader_tables ORDER BY number DESC LOOP
        EXECUTE format('DELETE FROM %s AS upgrader_row USING (SELECT (jsonb_populate_record(NULL::%s, key)).* FROM pg_temp.upgrader_images
            WHERE number = %s AND before IS NULL AND after IS NOT NULL) AS upgrader_key WHERE %s',
            t.name, t.name, t.number, pg_temp.upgrader_same(t.key_columns));
    END LOOP;
    FOR t IN SELECT * FROM pg_temp.upgrader_tables ORDER BY number LOOP
        settable := ARRAY(SELECT c FROM unnest(t.columns) c WHERE c <> ALL (t.key_columns) AND c <> ALL (coalesce(t.always, '{}')));
        IF settable <> '{}' THEN
            EXECUTE format('UPDATE %s AS upgrader_row SET (%s) = ROW(%s) FROM (SELECT (before::%s).* FROM pg_temp.upgrader_images
                WHERE number = %s AND before <> after) AS upgrader_key WHERE %s', t.name,
                (SELECT string_agg(quote_ident(c), ',') FROM unnest(settable) c),
                (SELECT string_agg(format('upgrader_key.%I', c), ',') FROM unnest(settable) c),
                t.name, t.number, pg_temp.upgrader_same(t.key_columns));
        END IF;
        EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM (SELECT (before::%s).* FROM pg_temp.upgrader_images
            WHERE number = %s AND before IS NOT NULL AND after IS NULL) AS upgrader_key', t.name,
            (SELECT string_agg(quote_ident(c), ',') FROM unnest(t.columns) c),
            (SELECT string_agg(format('upgrader_key.%I', c), ',') FROM unnest(t.columns) c), t.name, t.number);
    END LOOP;
END $$;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT pg_temp.upgrader_expect('before', 'can not be put back as they were') \g /dev/null
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) - :rows_before AS rows_put_back FROM pg_stat_xact_user_tables WHERE schemaname NOT LIKE 'pg\_temp\_%' \gset
SELECT count(*) <> :rows_put_back AS refused FROM pg_temp.upgrader_images WHERE before IS DISTINCT FROM after \gset
\if :refused
\echo refused the way back would change other rows too, by a foreign key or a trigger
\quit
\endif
DO $$
DECLARE
    q record;
BEGIN
    FOR q IN SELECT * FROM pg_temp.upgrader_quiet LOOP
        EXECUTE format('ALTER TABLE %s ENABLE %s TRIGGER %I', q.table_name,
            CASE q.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, q.tgname);
    END LOOP;
END $$;
DROP TABLE pg_temp.upgrader_quiet;
DROP FUNCTION pg_temp.upgrader_expect(text, text);
SQL
}

# The way back is walked before the commit, in this very transaction, and then un-walked.
sql_prove_undo() {
    printf '%s\n' 'SAVEPOINT upgrader_proof;'
    sql_undo
    printf '%s\n' 'ROLLBACK TO SAVEPOINT upgrader_proof;' '\echo proven'
}

# The images go to the disk of this host and are there for certain, then rows and note are committed as one.
sql_keep_and_commit() {
    cat <<'SQL'
\echo step keep
COPY (SELECT * FROM pg_temp.upgrader_images WHERE before IS DISTINCT FROM after ORDER BY number, key) TO STDOUT \g :undo_new
\set undo_digest `:keep_undo`
SELECT :'undo_digest' !~ '^[0-9a-f]{64}$' AS refused \gset
\if :refused
\echo refused the undo file could not be written
\quit
\endif
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM pg_temp.upgrader_tables LOOP
        EXECUTE format('DROP TRIGGER upgrader_capture ON %s', t.name);
    END LOOP;
END $$;
INSERT INTO upgrader.corrections (key, system, version, build, undo, changed_rows)
    SELECT :'key', :'system', :'version', :'sha256', :'undo_digest', count(*) FROM pg_temp.upgrader_images;
\echo step commit
COMMIT;
SELECT 'away ' || (1000 * extract(epoch FROM clock_timestamp() - :'locked_at'))::bigint;
SQL
}

sql_show_and_forget() { # a dry run: the first rows as they were and as they would be, and nothing stays
    cat <<'SQL'
\echo step show
DO $$
DECLARE
    t record;
BEGIN
    CREATE TEMP TABLE upgrader_shown (number int, place bigint, line jsonb) ON COMMIT DROP;
    FOR t IN SELECT * FROM pg_temp.upgrader_tables ORDER BY number LOOP
        EXECUTE format('INSERT INTO pg_temp.upgrader_shown SELECT number, row_number() OVER (ORDER BY key),
            jsonb_build_object(''table'', name, ''key'', key, ''before'', to_jsonb(before::%s), ''after'', to_jsonb(after::%s))
            FROM pg_temp.upgrader_images WHERE number = %s ORDER BY key LIMIT 200', t.name, t.name, t.number);
    END LOOP;
END $$;
SELECT 'shown ' || coalesce(jsonb_agg(line ORDER BY number, place), '[]')::text FROM (
    SELECT * FROM pg_temp.upgrader_shown ORDER BY number, place LIMIT 200) AS first;
ROLLBACK;
\echo forgotten
SQL
}

sql_take_back() { # psql's standard input is the undo file
    cat <<'SQL'
\copy pg_temp.upgrader_images FROM pstdin
SQL
    sql_undo
    cat <<'SQL'
\echo step note
WITH taken AS (
    UPDATE upgrader.corrections SET taken_back = clock_timestamp() WHERE key = :'key' AND taken_back IS NULL AND undo = :'undo_digest' RETURNING 1)
SELECT count(*) <> 1 AS refused FROM taken \gset
\if :refused
\echo refused this correction is not noted as run
\quit
\endif
\echo step commit
COMMIT;
SELECT 'away ' || (1000 * extract(epoch FROM clock_timestamp() - :'locked_at'))::bigint;
SQL
}
