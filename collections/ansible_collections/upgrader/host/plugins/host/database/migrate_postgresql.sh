# A database that a release brings to a new version, on PostgreSQL 12 and later: its backup, the proof of it, the migrations and the
# way back. strategy/database.sh says when; the functions that it calls have the same names for every product.
#
# Statements may name patients and errors may show them: psql's words stay in files of mode 0600, only codes and counts are told.

db_site() { # sets what the site's inventory says: where the server is, and in which role we come
    programs='' pg_host=/var/run/postgresql pg_port=5432 owner='' admin='' maintenance=postgres passfile=$state/no-password
    while IFS= read -r said; do
        case $said in
            database_programs=*) programs=${said#*=} ;;
            database_host=*) pg_host=${said#*=} ;;
            database_port=*) pg_port=${said#*=} ;;
            database_role=*) owner=${said#*=} ;;
            database_admin=*) admin=${said#*=} ;; # who makes, renames and removes databases
            database_maintenance=*) maintenance=${said#*=} ;;
            database_passfile=*) passfile=${said#*=} ;;
        esac
    done <<PARAMETERS
$parameters
PARAMETERS
    programs=${programs:+$programs/}
    owner=${owner:-$(id -un)}
    admin=${admin:-$owner}
}

db_programs() { printf '%spsql %spg_dump %spg_restore' "$programs" "$programs" "$programs"; }

db_environment() { # role database: what a program needs to know to get there, one `NAME=value` a line
    printf 'PGHOST=%s\nPGPORT=%s\nPGUSER=%s\nPGDATABASE=%s\nPGPASSFILE=%s\n' "$pg_host" "$pg_port" "$1" "$2" "$passfile"
    printf 'PGOPTIONS=-c default_transaction_read_only=off\nPGAPPNAME=upgrader\nPGCONNECT_TIMEOUT=10\nPGCLIENTENCODING=UTF8\n'
}

# Run a program of PostgreSQL against one database. Sets told to what it printed; false when it failed, with sqlstate and words in $output.
ask() { # seconds role database program...
    limit=$1
    db_environment "$2" "$3" >"$private/environment"
    shift 3
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited "$limit" / sh -c '
        umask 077; private=$1; shift
        while IFS= read -r line; do export "$line"; done <"$private/environment"
        export LC_ALL=C; exec "$@" >"$private/told" 2>"$private/words"' - "$private" "$@"
    ended=$?
    told=$(head -c 65536 "$private/told" 2>/dev/null) # rows of the vendor's may be many
    [ "$ended" = 0 ] || { read_error && return 1; }
}

read_error() { # sets sqlstate, and puts into $output what may be told
    [ "$ended" != 124 ] || return 0 # $output says it
    sqlstate=$(sed -n 's/^psql:.* \(ERROR\|FATAL\|PANIC\):  \([0-9A-Z]\{5\}\): .*/\2/p' "$private/words" | tail -n 1)
    if [ -n "$sqlstate" ]; then
        keep_words
        echo "$(meaning_of "$sqlstate") (SQLSTATE $sqlstate); the database's own words are in $words on this host"
    elif grep -q '^psql: error: connection' "$private/words"; then
        tail -n 1 "$private/words" # before any row was read
    else
        keep_words
        echo "ended with $ended; its own words are in $words on this host"
    fi >"$output" 2>/dev/null
}

keep_words() { (umask 077 && tail -c 20000 "$private/words" >"$words") 2>/dev/null; }

script() { # seconds role database: psql runs what stands in $private/script.sql
    ask "$1" "$2" "$3" "${programs}psql" -X -q -A -t -w -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -f "$private/script.sql"
}

front() { # seconds for a statement, seconds for a lock: values are written the same way wherever they are read
    cat <<SQL
\\pset pager off
SET client_min_messages = error;
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 3;
SET statement_timeout = '${1}s'; SET lock_timeout = '${2}s';
SQL
}

# ------------------------------------------------------------------------------------------ what is there, and may it be done

db_look() { # sets db_kb and data_kb (free beside the server's data; empty where nobody may know); false with step and detail
    step=connect
    printf 'SELECT 1;\n' >"$private/script.sql"
    script 30 "$owner" "$database" || { detail=$(last_words) && return 1; }
    { front 20 5 && sql_look; } >"$private/script.sql"
    script 30 "$admin" "$database" || { detail=$(last_words) && return 1; }
    step=role
    detail=$(told_of refused)
    [ -z "$detail" ] || return 1
    step=tools
    server=$(told_of server)
    own=$("${programs}pg_dump" --version 2>/dev/null | sed 's/.*) \([0-9]*\).*/\1/')
    [ "${own:-0}" -ge "$server" ] || { detail="pg_dump ${own:-?} can not back up a server of version $server" && return 1; }
    db_kb=$(told_of size) data_kb=''
    folder=$(told_of folder)
    [ -z "$folder" ] || ! [ -d "$folder" ] || data_kb=$(free_kb_of "$folder")
    detail=''
}

sql_look() {
    cat <<SQL
WITH me AS (SELECT * FROM pg_roles WHERE rolname = current_user), base AS (SELECT * FROM pg_database WHERE datname = current_database())
SELECT 'refused ' || said FROM (
    SELECT 1, 'the server is a standby: releases go to the primary' WHERE pg_is_in_recovery()
    UNION ALL SELECT 2, format('the role %s may not make databases, so no backup could be proven (createdb)', rolname)
        FROM me WHERE NOT (rolsuper OR rolcreatedb)
    UNION ALL SELECT 3, format('the database does not belong to the role %s', current_user) FROM base WHERE NOT pg_has_role(datdba, 'USAGE')
    UNION ALL SELECT 4, 'the database refuses all writes (default_transaction_read_only)' FROM base
        JOIN pg_db_role_setting ON setdatabase = base.oid AND setrole = 0 WHERE setconfig @> '{default_transaction_read_only=on}'
        AND '${open_key:-$key_switched}' = ''
) AS refusals(rank, said) ORDER BY rank DESC;
SELECT 'server ' || current_setting('server_version_num')::int / 10000;
SELECT 'size ' || pg_database_size(current_database()) / 1024;
SELECT 'folder ' || current_setting('data_directory') WHERE pg_has_role('pg_read_all_settings', 'USAGE');
SQL
}

# ------------------------------------------------------------------------------------------------------- backup and proof

# A backup, and the rows of the declared tables in the very same snapshot; with `content` also a sum over all their values.
db_back_up() { # file counts-file content|rows
    rm -f "$1"
    {
        front 0 "$lock_seconds"
        echo 'SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;'
        printf '%s\n' 'SELECT pg_export_snapshot() AS snapshot \gset' '\setenv SNAPSHOT :snapshot'
        sql_counts "$3"
        # shellcheck disable=SC2016 # psql's shell expands it
        printf '\\! "%s" --no-password --format=custom --compress=1 --snapshot="$SNAPSHOT" --lock-wait-timeout=%ss --file="%s" && echo backed-up\n' \
            "${programs}pg_dump" "$lock_seconds" "$1"
        echo 'COMMIT;'
    } >"$private/script.sql"
    (umask 077 && : >"$1")
    script "$limit_seconds" "$admin" "$database" || return 1
    printf '%s\n' "$told" | grep '^rows ' >"$2"
    case $NEWLINE$told$NEWLINE in *"${NEWLINE}backed-up$NEWLINE"*) return 0 ;; esac
    keep_words
    echo "pg_dump failed; its own words are in $words on this host" >"$output"
    return 1
}

sql_counts() { # content|rows: one line `rows TABLE COUNT SUM` for each declared table; `-` for one that is not there
    sum="''"
    # shellcheck disable=SC2016
    [ "$1" = rows ] || sum="' ' || coalesce(sum(('x' || left(md5(upgrader_row::text), 15))::bit(60)::bigint), 0)"
    cat <<SQL
SELECT CASE WHEN to_regclass(name) IS NULL THEN format('SELECT %L', 'rows ' || name || ' -')
    ELSE format(\$\$SELECT %L || count(*) || $sum FROM %s AS upgrader_row\$\$, 'rows ' || name || ' ', to_regclass(name)) END
    FROM (VALUES $declared) AS declared(number, name) ORDER BY number \\gexec
SQL
}

db_count() { # database content|rows counts-file
    { front "$limit_seconds" "$lock_seconds" && sql_counts "$2"; } >"$private/script.sql"
    script "$limit_seconds" "$admin" "$1" && printf '%s\n' "$told" | grep '^rows ' >"$3"
}

db_is_whole() { # file: it can be read to its end
    ask "$limit_seconds" "$admin" "$maintenance" "${programs}pg_restore" --file=/dev/null "$1"
}

db_restore() { # file database: into a new database that is as the old one is: owner, encoding, settings, who may connect
    db_drop "$2" || return 1
    { front "$limit_seconds" "$lock_seconds" && sql_make "$2"; } >"$private/script.sql"
    script "$limit_seconds" "$admin" "$maintenance" || return 1
    ask "$limit_seconds" "$admin" "$2" "${programs}pg_restore" --no-password --exit-on-error --dbname="$2" "$1"
}

sql_make() { # database
    cat <<SQL
SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L CONNECTION LIMIT %s', '$1', datdba::regrole::text,
    pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit) || CASE WHEN to_jsonb(d) ->> 'datlocprovider' = 'i' THEN
    format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale')) ELSE '' END
    FROM pg_database d WHERE datname = '$database' \\gexec
WITH settings AS (SELECT setrole, split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
    FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = '$database'))
SELECT CASE WHEN setrole = 0 THEN format('ALTER DATABASE %I', '$1') ELSE format('ALTER ROLE %s IN DATABASE %I', setrole::regrole, '$1') END
    || format(' SET %I TO ', name) || CASE WHEN name IN ('search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries')
    THEN value ELSE quote_literal(value) END FROM settings WHERE setrole <> 0 OR name <> 'default_transaction_read_only' \\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', '$1') FROM pg_database WHERE datname = '$database' AND datacl IS NOT NULL \\gexec
SELECT format('GRANT %s ON DATABASE %I TO %s', privilege_type, '$1', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    FROM pg_database, aclexplode(datacl) WHERE datname = '$database' \\gexec
SQL
}

db_drop() { # database: nobody uses it but us
    {
        front 60 "$lock_seconds"
        printf '%s\n' "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$1' \\g /dev/null"
        echo "DROP DATABASE IF EXISTS \"$1\";"
    } >"$private/script.sql"
    script 60 "$admin" "$maintenance"
}

db_exists() { # database
    echo "SELECT 'there' FROM pg_database WHERE datname = '$1';" >"$private/script.sql"
    script 30 "$admin" "$maintenance" && [ "$told" = there ]
}

# ------------------------------------------------------------------------------------------------------------- who writes

db_refuse_writes() { # from everybody who connects from now on; what we start says otherwise for itself (PGOPTIONS)
    echo "ALTER DATABASE \"$database\" SET default_transaction_read_only = on;" >"$private/script.sql"
    script 30 "$admin" "$maintenance"
}

db_take_writes() {
    echo "ALTER DATABASE \"$database\" RESET default_transaction_read_only;" >"$private/script.sql"
    script 30 "$admin" "$maintenance"
}

db_strangers() { # true, and told lists them, while somebody else is connected to the database
    echo "SELECT 'stranger ' || coalesce(usename, '?') || coalesce(' ' || nullif(application_name, ''), '') || coalesce(' ' || host(client_addr), '')
        FROM pg_stat_activity WHERE datname = '$database' AND coalesce(backend_type, 'client backend') = 'client backend'
        AND pid <> pg_backend_pid();" >"$private/script.sql"
    script 30 "$admin" "$maintenance" || return 0 # nobody could say that there is none
    [ -n "$told" ]
}

db_end_strangers() {
    echo "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database' AND pid <> pg_backend_pid();" >"$private/script.sql"
    script 30 "$admin" "$maintenance"
}

# -------------------------------------------------------------------------------------------------------------- migrations

# All statements in one transaction, or each on its own where they can not be in one. The vendor's text is data: `whole` hands it to
# PL/pgSQL's EXECUTE, `each` to the server by \gexec; psql's commands run in neither, and no COMMIT in the first.
db_run() { # whole|each folder database: the statements are NNNN.sql in the folder; every step is noted in $steps
    {
        front "$statement_seconds" "$lock_seconds"
        # shellcheck disable=SC2016 # dollar quotes of SQL
        [ "$1" = each ] || echo 'BEGIN; CREATE FUNCTION pg_temp.upgrader_run(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; END $$;'
        for statement in "$2"/[0-9]*.sql; do
            number=${statement##*/}
            printf '\\echo statement %s\n' "${number%.sql}"
            printf "\\\\set statement \`cat '%s'\`\n" "$statement"
            if [ "$1" = each ]; then
                printf "\\\\! printf '%%s\\\\n' 'began %s' >>'%s' && sync '%s'\n" "${number%.sql}" "$steps" "$steps"
                printf "SELECT :'statement' \\\\gexec\n"
                printf "\\\\! printf '%%s\\\\n' 'done %s' >>'%s' && sync '%s'\n" "${number%.sql}" "$steps" "$steps"
            else
                printf "SELECT pg_temp.upgrader_run(:'statement') \\\\g /dev/null\n"
            fi
        done
        [ "$1" = each ] || printf '\\echo statement commit\nCOMMIT;\n'
    } >"$private/script.sql"
    script "$limit_seconds" "$owner" "$3"
}

# --------------------------------------------------------------------------------------------------------------- the way back

db_mark() { # sets horizon: whatever is written from now on is younger
    echo "SELECT 'mark ' || txid_current();" >"$private/script.sql"
    script 30 "$admin" "$database" && horizon=$(told_of mark) && [ -n "$horizon" ]
}

# The rows of the declared tables that were written since the mark. A row version carries the number of the transaction that
# wrote it (xmin), so nothing has to be noted while people work.
db_written_since() { # mark file
    {
        front "$limit_seconds" "$lock_seconds"
        printf '\\set FETCH_COUNT 1000\n'
        cat <<SQL
SELECT format(\$\$SELECT jsonb_build_object('table', %L, 'row', to_jsonb(upgrader_row)) FROM %s AS upgrader_row
    WHERE age(xmin) < age('%s'::xid)\$\$, name, to_regclass(name), $1::bigint % 4294967296)
    FROM (VALUES $declared) AS declared(number, name) WHERE to_regclass(name) IS NOT NULL ORDER BY number \\gexec
SQL
    } >"$private/script.sql"
    script "$limit_seconds" "$admin" "$database" && mv -f "$private/told" "$2"
}

db_keys() { # database file: which rows there are, by their primary keys; sorted
    {
        front "$limit_seconds" "$lock_seconds"
        printf '\\set FETCH_COUNT 1000\n'
        cat <<SQL
SELECT format('SELECT jsonb_build_object(%s) FROM %s', string_agg(part, ', ' ORDER BY place), relation) FROM (
    SELECT number, to_regclass(name) AS relation, a.attnum AS place, format('%L, %I', a.attname, a.attname) AS part
    FROM (VALUES $declared) AS declared(number, name)
    JOIN pg_index i ON i.indrelid = to_regclass(name) AND i.indisprimary JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    UNION ALL SELECT number, to_regclass(name), 0, format('%L, %L', 'table', name) FROM (VALUES $declared) AS declared(number, name)
    WHERE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass(name) AND i.indisprimary)
) AS parts GROUP BY number, relation ORDER BY number \\gexec
SQL
    } >"$private/script.sql"
    script "$limit_seconds" "$admin" "$1" && sort "$private/told" >"$2"
}

# The restored database takes the name in one transaction; what was there keeps its rows under another name, closed to everybody.
db_swap() { # new-name-of-what-is-there database-that-takes-its-place
    {
        front 60 "$lock_seconds"
        echo "ALTER DATABASE \"$database\" ALLOW_CONNECTIONS false;"
        printf '%s\n' "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$database' \\g /dev/null"
        echo "BEGIN; ALTER DATABASE \"$database\" RENAME TO \"$1\"; ALTER DATABASE \"$2\" RENAME TO \"$database\"; COMMIT;"
    } >"$private/script.sql"
    script 60 "$admin" "$maintenance" && return 0
    why=$(last_words)
    echo "ALTER DATABASE \"$database\" ALLOW_CONNECTIONS true;" >"$private/script.sql"
    script 60 "$admin" "$maintenance"
    echo "$why" >"$output"
    return 1
}
