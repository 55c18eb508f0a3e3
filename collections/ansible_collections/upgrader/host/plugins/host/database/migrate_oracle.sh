# UNTESTED: no Oracle server was at hand; plan refuses releases for it (product-not-tried). The functions of migrate_postgresql.sh, written from
# Oracle's manuals (19c: SQL*Plus, Data Pump, PL/SQL), for who tries them on a test server first.
#
# "The database" is a schema. Oracle commits before and after every DDL statement, so `whole` is not to be had: each statement is
# noted before it runs, and only the restore point leads back. A schema can not be renamed: the swap is an import in its place.

db_site() {
    programs=$(site_value database_programs '')
    programs=${programs:+$programs/}
    owner=$(site_value database_role "$database")
    admin=$(site_value database_admin system)
    connect=$(site_value database_connect '//localhost/ORCLPDB1') # a wallet holds the passwords: nothing of them in arguments
    folder=$(site_value database_folder /var/lib/upgrader/datapump)
    directory=$(site_value database_directory UPGRADER) # CREATE DIRECTORY of that folder, on the server's host
}

db_programs() { printf '%ssqlplus %sexpdp %simpdp' "$programs" "$programs" "$programs"; }

db_environment() { printf 'UPGRADER_SCHEMA=%s\nUPGRADER_CONNECT=%s\nNLS_LANG=.AL32UTF8\n' "$2" "$connect"; }

ask() { # seconds program...: told, and false with words in $output
    limit=$1
    shift
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited "$limit" / sh -c 'umask 077; told=$1 words=$2; shift 2; exec "$@" >"$told" 2>"$words"' - "$private/told" "$private/words" "$@"
    ended=$?
    told=$(head -c 65536 "$private/told" 2>/dev/null)
    [ "$ended" != 0 ] || return 0
    (umask 077 && cat "$private/told" "$private/words" >"$words") 2>/dev/null
    code=$(printf '%s' "$told" | grep -o 'ORA-[0-9]*' | tail -n 1)
    echo "the database refused (${code:-$ended}); its own words are in $words on this host" >"$output"
    return 1
}

script() { # seconds schema: SQL*Plus runs $private/script.sql, and ends at the first error
    {
        printf 'WHENEVER SQLERROR EXIT FAILURE ROLLBACK\nWHENEVER OSERROR EXIT FAILURE\nSET DEFINE OFF FEEDBACK OFF HEADING OFF PAGESIZE 0 LINESIZE 32767\n'
        printf 'ALTER SESSION SET CURRENT_SCHEMA = "%s";\nALTER SESSION SET DDL_LOCK_TIMEOUT = %s;\n' "$2" "$lock_seconds"
        cat "$private/script.sql"
        printf '\nEXIT SUCCESS\n'
    } >"$private/whole.sql"
    ask "$1" "${programs}sqlplus" -S -L "/@$connect" "@$private/whole.sql"
}

db_look() {
    step=connect data_kb=''
    printf '%s\n' "SELECT 'size ' || CEIL(SUM(bytes) / 1024) FROM dba_segments WHERE owner = '$database';" \
        "SELECT 'refused the database is a standby' FROM v\$database WHERE database_role <> 'PRIMARY';" >"$private/script.sql"
    script 60 "$database" || { detail=$(last_words) && return 1; }
    step=role detail=$(told_of refused)
    [ -z "$detail" ] || return 1
    db_kb=$(told_of size)
}

db_back_up() { # file counts-file content|rows: Data Pump, as of one SCN, the rows counted as of the same
    echo "SELECT 'scn ' || current_scn FROM v\$database;" >"$private/script.sql"
    script 60 "$database" || return 1
    scn=$(told_of scn)
    count_rows "$database" "$3" "$2" " AS OF SCN $scn" || return 1
    ask "$limit_seconds" "${programs}expdp" "/@$connect" "schemas=$database" "directory=$directory" "dumpfile=${1##*/}" "flashback_scn=$scn" \
        reuse_dumpfiles=y nologfile=y && mv -f "$folder/${1##*/}" "$1"
}

count_rows() { # schema content|rows counts-file as-of
    sum=''
    [ "$2" = rows ] || sum=" || ' ' || NVL(SUM(ORA_HASH(ROWID)), 0)" # a restored row has another ROWID: the vendor names columns here
    : >"$private/script.sql"
    printf '%s' "$tables" | while read -r name _; do
        [ -z "$name" ] || echo "SELECT 'rows $name ' || COUNT(*)$sum FROM \"$1\".\"${name#*.}\"$4;" >>"$private/script.sql"
    done
    script "$limit_seconds" "$1" && printf '%s\n' "$told" | grep '^rows ' >"$3"
}

db_count() { count_rows "$1" rows "$3" ''; }

db_is_whole() { # file: it is read to its end, and nothing is imported
    cp "$1" "$folder/check.dmp" && ask "$limit_seconds" "${programs}impdp" "/@$connect" "directory=$directory" dumpfile=check.dmp "sqlfile=check.sql" nologfile=y
}

db_restore() { # file schema
    db_drop "$2" && cp "$1" "$folder/restore.dmp" &&
        ask "$limit_seconds" "${programs}impdp" "/@$connect" "directory=$directory" dumpfile=restore.dmp "remap_schema=$database:$2" nologfile=y
}

db_drop() {
    echo "BEGIN EXECUTE IMMEDIATE 'DROP USER \"$1\" CASCADE'; EXCEPTION WHEN OTHERS THEN IF SQLCODE <> -1918 THEN RAISE; END IF; END;
/" >"$private/script.sql"
    script 300 "$database"
}

db_exists() {
    echo "SELECT 'there' FROM dba_users WHERE username = '$1';" >"$private/script.sql"
    script 30 "$database" && [ "$told" = there ]
}

db_refuse_writes() { # nobody but the administrator comes in
    echo "ALTER USER \"$owner\" ACCOUNT LOCK;" >"$private/script.sql"
    script 30 "$database"
}

db_take_writes() {
    echo "ALTER USER \"$owner\" ACCOUNT UNLOCK;" >"$private/script.sql"
    script 30 "$database"
}

db_strangers() {
    echo "SELECT 'stranger ' || username || ' ' || program FROM v\$session WHERE username = '$owner' AND audsid <> USERENV('SESSIONID');" >"$private/script.sql"
    script 30 "$database" || return 0
    [ -n "$told" ]
}

db_end_strangers() {
    echo "BEGIN FOR s IN (SELECT sid, serial# AS n FROM v\$session WHERE username = '$owner') LOOP
    EXECUTE IMMEDIATE 'ALTER SYSTEM KILL SESSION ''' || s.sid || ',' || s.n || ''' IMMEDIATE'; END LOOP; END;
/" >"$private/script.sql"
    script 60 "$database"
}

db_split() { # file folder: a statement ends with a line that holds nothing but a slash
    rm -rf "$2"
    (umask 077 && mkdir "$2") || return 1
    awk -v folder="$2" '
        function finish() { if (text != "") { number++; file = sprintf("%s/%04d.sql", folder, number); printf "%s/\n", text >file; close(file); print number, begun >(folder "/lines") } text = "" }
        /^\/[ \t\r]*$/ { finish(); next }
        text == "" && /^[ \t\r]*(--.*)?$/ { next }
        { if (text == "") begun = FNR; text = text $0 "\n" }
        END { finish(); if (!number) { print "there is no statement" >"/dev/stderr"; exit 1 } }' "$1" 2>"$output"
}

db_run() { # whole|each folder schema
    for statement in "$2"/[0-9]*.sql; do
        number=${statement##*/}
        printf 'PROMPT statement %s\nHOST printf "began %s\\n" >>"%s"; sync "%s"\n@%s\nHOST printf "done %s\\n" >>"%s"\n' \
            "${number%.sql}" "${number%.sql}" "$steps" "$steps" "$statement" "${number%.sql}" "$steps"
    done >"$private/script.sql"
    script "$limit_seconds" "$3"
}

db_mark() {
    echo "SELECT 'mark ' || current_scn FROM v\$database;" >"$private/script.sql"
    script 30 "$database" && horizon=$(told_of mark) && [ -n "$horizon" ]
}

db_written_since() { # mark file: needs ROWDEPENDENCIES to be exact; without it whole blocks are told
    printf '%s' "$tables" | while read -r name _; do
        [ -z "$name" ] || echo "SELECT JSON_OBJECT('table' VALUE '$name', 'row' VALUE JSON_OBJECT(*)) FROM \"$database\".\"${name#*.}\" t WHERE ORA_ROWSCN > $1;"
    done >"$private/script.sql"
    script "$limit_seconds" "$database" && mv -f "$private/told" "$2"
}

db_keys() { # schema file: which columns are the key is the vendor's to say
    : >"$2"
}

db_swap() { # left restored: a schema has no other name, so what is there is exported under the name `left` and replaced
    db_back_up "$safe/$1.dump" "$safe/rows.left" rows && db_restore "$safe/point.dump" "$database" && db_drop "$2"
}
