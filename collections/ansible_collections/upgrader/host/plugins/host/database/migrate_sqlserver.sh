# UNTESTED: no SQL Server was at hand; plan refuses releases for it (product-not-tried). The functions of migrate_postgresql.sh, written from
# Microsoft's manuals (SQL Server 2019: sqlcmd, Transact-SQL), for who tries them on a test server first.
#
# BACKUP and RESTORE are the server's own: the files must lie where both the server and this host see them (database_folder).
# Most DDL goes into a transaction; what does not is declared `each` by the release. Databases can be renamed, but not two at once.

db_site() {
    programs=$(site_value database_programs /opt/mssql-tools18/bin)
    programs=${programs:+$programs/}
    owner=$(site_value database_role '')
    admin=$owner
    address=$(site_value database_host localhost),$(site_value database_port 1433)
    folder=$(site_value database_folder /var/opt/mssql/upgrader)
}

db_programs() { printf '%ssqlcmd' "$programs"; }

db_environment() { printf 'SQLCMDSERVER=%s\nSQLCMDDBNAME=%s\n' "$address" "$2"; } # a Kerberos ticket or the server's own login: no password here

ask() { # seconds program...: told, and false with words in $output
    limit=$1
    shift
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited "$limit" / sh -c 'umask 077; told=$1 words=$2; shift 2; exec "$@" >"$told" 2>"$words"' - "$private/told" "$private/words" "$@"
    ended=$?
    told=$(head -c 65536 "$private/told" 2>/dev/null)
    [ "$ended" != 0 ] || return 0
    (umask 077 && cat "$private/told" "$private/words" >"$words") 2>/dev/null
    code=$(printf '%s' "$told" | grep -o '^Msg [0-9]*' | tail -n 1)
    echo "the database refused (${code:-$ended}); its own words are in $words on this host" >"$output"
    return 1
}

script() { # seconds database: sqlcmd runs $private/script.sql; its own commands and variables are off (-X1, -x)
    ask "$1" "${programs}sqlcmd" -S "$address" -d "$2" -E -b -X1 -x -h -1 -W -i "$private/script.sql"
}

db_look() {
    step=connect data_kb=''
    echo "SET NOCOUNT ON; SELECT 'size ' + CAST(SUM(CAST(size AS bigint)) * 8 AS varchar) FROM sys.database_files;
SELECT 'refused the login may not make databases' WHERE HAS_PERMS_BY_NAME(NULL, NULL, 'CREATE ANY DATABASE') = 0;" >"$private/script.sql"
    script 60 "$database" || { detail=$(last_words) && return 1; }
    step=role detail=$(told_of refused)
    [ -z "$detail" ] || return 1
    db_kb=$(told_of size)
}

db_back_up() { # file counts-file content|rows; the counts are of just before: SQL Server tells no snapshot to count in
    db_count "$database" "$3" "$2" || return 1
    echo "BACKUP DATABASE [$database] TO DISK = N'$folder/${1##*/}' WITH COPY_ONLY, CHECKSUM, COMPRESSION, INIT;" >"$private/script.sql"
    script "$limit_seconds" master && cp "$folder/${1##*/}" "$1"
}

db_count() { # database content|rows counts-file
    sum=''
    [ "$2" = rows ] || sum=" + ' ' + CAST(COALESCE(CHECKSUM_AGG(BINARY_CHECKSUM(*)), 0) AS varchar)"
    echo 'SET NOCOUNT ON;' >"$private/script.sql"
    printf '%s' "$tables" | while read -r name _; do
        [ -z "$name" ] || echo "SELECT 'rows $name ' + CAST(COUNT_BIG(*) AS varchar)$sum FROM [${name%%.*}].[${name#*.}];" >>"$private/script.sql"
    done
    script "$limit_seconds" "$1" && printf '%s\n' "$told" | grep '^rows ' >"$3"
}

db_is_whole() {
    echo "RESTORE VERIFYONLY FROM DISK = N'$folder/${1##*/}' WITH CHECKSUM;" >"$private/script.sql"
    script "$limit_seconds" master
}

db_restore() { # file database: its files beside the old ones, under the new name
    db_drop "$2" && cp "$1" "$folder/${1##*/}" || return 1
    echo "DECLARE @moves nvarchar(max) = (SELECT STRING_AGG(N', MOVE N''' + name + N''' TO N''' + physical_name + N'.$2''', N'')
    FROM sys.master_files WHERE database_id = DB_ID(N'$database'));
EXEC (N'RESTORE DATABASE [$2] FROM DISK = N''$folder/${1##*/}'' WITH CHECKSUM' + @moves);" >"$private/script.sql"
    script "$limit_seconds" master
}

db_drop() {
    echo "IF DB_ID(N'$1') IS NOT NULL BEGIN ALTER DATABASE [$1] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [$1]; END" >"$private/script.sql"
    script 300 master
}

db_exists() {
    echo "SET NOCOUNT ON; SELECT 'there' WHERE DB_ID(N'$1') IS NOT NULL;" >"$private/script.sql"
    script 30 master && [ "$told" = there ]
}

db_refuse_writes() { # only members of db_owner come in; whoever else is there is thrown out
    echo "ALTER DATABASE [$database] SET RESTRICTED_USER WITH ROLLBACK IMMEDIATE;" >"$private/script.sql"
    script 60 master
}

db_take_writes() {
    echo "ALTER DATABASE [$database] SET MULTI_USER;" >"$private/script.sql"
    script 60 master
}

db_strangers() {
    echo "SET NOCOUNT ON; SELECT 'stranger ' + login_name + ' ' + COALESCE(program_name, '') FROM sys.dm_exec_sessions
    WHERE database_id = DB_ID(N'$database') AND session_id <> @@SPID AND is_user_process = 1;" >"$private/script.sql"
    script 30 master || return 0
    [ -n "$told" ]
}

db_end_strangers() { db_refuse_writes; }

db_split() { # file folder: a statement, or several, end with a line `GO`
    rm -rf "$2"
    (umask 077 && mkdir "$2") || return 1
    awk -v folder="$2" '
        function finish() { if (text != "") { number++; file = sprintf("%s/%04d.sql", folder, number); printf "%s", text >file; close(file); print number, begun >(folder "/lines") } text = "" }
        toupper($0) ~ /^[ \t]*GO[ \t\r]*$/ { finish(); next }
        /^[ \t]*:/ { print "a command of sqlcmd is no statement (line " FNR ")" >"/dev/stderr"; bad = 1; exit 1 }
        text == "" && /^[ \t\r]*(--.*)?$/ { next }
        { if (text == "") begun = FNR; text = text $0 "\n" }
        END { if (bad) exit 1; finish(); if (!number) { print "there is no statement" >"/dev/stderr"; exit 1 } }' "$1" 2>"$output"
}

db_run() { # whole|each folder database
    echo "SET XACT_ABORT ON; SET LOCK_TIMEOUT $((lock_seconds * 1000));" >"$private/script.sql"
    [ "$1" = each ] || printf 'BEGIN TRANSACTION;\nGO\n' >>"$private/script.sql"
    for statement in "$2"/[0-9]*.sql; do
        number=${statement##*/}
        { printf "GO\nPRINT 'statement %s';\nGO\n" "${number%.sql}" && cat "$statement" && printf '\nGO\n'; } >>"$private/script.sql"
    done
    [ "$1" = each ] || printf "PRINT 'statement commit';\nCOMMIT TRANSACTION;\nGO\n" >>"$private/script.sql"
    script "$limit_seconds" "$3"
}

db_mark() {
    echo "SET NOCOUNT ON; SELECT 'mark ' + CONVERT(varchar, CAST(@@DBTS AS bigint));" >"$private/script.sql"
    script 30 "$database" && horizon=$(told_of mark) && [ -n "$horizon" ]
}

db_written_since() { # mark file: only tables with a rowversion column know it
    printf '%s' "$tables" | while read -r name _; do
        [ -z "$name" ] || echo "SET NOCOUNT ON; DECLARE @column sysname = (SELECT name FROM sys.columns WHERE object_id = OBJECT_ID(N'$name') AND system_type_id = 189);
IF @column IS NOT NULL EXEC (N'SELECT (SELECT N''$name'' AS [table], t.* FOR JSON PATH) FROM [${name%%.*}].[${name#*.}] AS t WHERE CAST(' + @column + N' AS bigint) > $1');"
    done >"$private/script.sql"
    script "$limit_seconds" "$database" && mv -f "$private/told" "$2"
}

db_keys() { # database file: not written yet
    : >"$2"
}

db_swap() { # left restored: two renames; between them the name is nobody's
    echo "ALTER DATABASE [$database] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; ALTER DATABASE [$database] MODIFY NAME = [$1];
ALTER DATABASE [$2] MODIFY NAME = [$database]; ALTER DATABASE [$database] SET MULTI_USER;" >"$private/script.sql"
    script 120 master
}
