# The strategy `database`: a program in versioned folders, or none on this host, and the database that goes with it. A version is the
# folder that `current` names; it is named only after the migrations ran, so a host never says that it has a version whose database it has not.
#
# Before anything stops: a backup, restored into a database of its own, compared, and the migrations tried on it. Then: stop, nobody
# writes any more, the restore point, the migrations, the link, start. The way back takes program, configuration, unit file
# and database together; rows written meanwhile are kept in a file.

database='' product='' program='' promise='' others=refuse tables='' migrations='' free_tables='' declared=''
lock_seconds=5 statement_seconds=60 limit_seconds=3600
db_kb=0 data_kb='' private='' told='' proof=''

strategy_places() {
    versions=$root/$system/versions
    link=$root/$system/current
    home=$versions/$version
    unpacked=$versions/.$version.$key.new
    stops_first=yes
    safe=$state/$system/restore.$key
    words=$safe/words
    written=$state/$system/written-since.$key.jsonl
    db_site
}

strategy_input() { # name value
    case $1 in
        database) database=$2 ;;
        product) product=$2 ;;
        program) program=$2 ;;
        promise) promise=$2 ;;
        others) others=$2 ;;
        table) tables=$tables$2$NEWLINE ;;
        migration) migrations=$migrations$2$NEWLINE ;;
        lock_seconds) lock_seconds=$2 ;;
        statement_seconds) statement_seconds=$2 ;;
        limit_seconds) limit_seconds=$2 ;;
        *) return 1 ;;
    esac
}

strategy_check() { # and put the tables into the form in which they are asked for: a VALUES list
    is_name "$database" || refuse input "not the name of a database: $database"
    for number in "$lock_seconds" "$statement_seconds" "$limit_seconds"; do
        case $number in *[!0-9]* | '' | ???????*) refuse input "not a number of seconds: $number" ;; esac
    done
    case $promise.$others in restore.refuse | restore.end | irreversible.refuse | irreversible.end) ;; *) refuse input "unknown: $promise or $others" ;; esac
    case $program in *[!0-9a-f]*) refuse input 'the sha256 of the program is malformed' ;; esac
    case $state$root in *[\'\`]*) refuse input "not a plain folder: $state" ;; esac # they go through psql to a shell
    check_tables
    check_migrations
    [ "$manager" != systemd ] || [ -n "$unit" ] || refuse input 'systemd needs a service name and a unit file'
    [ "$manager" = none ] || [ -n "$program" ] || refuse input 'a service needs a program'
}

check_tables() {
    count=0
    while IFS=' ' read -r name rows_said more; do
        [ -n "$name" ] || continue
        is_name "${name%%.*}" && is_name "${name#*.}" && [ -z "$more" ] || refuse input "not a schema and a table: $name $more"
        case $rows_said in same) ;; any) free_tables=$free_tables$name$NEWLINE ;; *) refuse input "unknown: $rows_said" ;; esac
        count=$((count + 1))
        declared="$declared${declared:+, }($count, '$name')"
    done <<TABLES
$tables
TABLES
    [ -n "$declared" ] || refuse input 'no main table is declared: nobody could tell whether a backup holds the data'
}

check_migrations() { # lines of `sql whole|each SHA256 FILE` and `command - - COMMAND`
    while IFS=' ' read -r kind way digest_of_file what; do
        case $kind.$way in
            sql.whole | sql.each) case $builds$sha256\  in *"$digest_of_file "*) ;; *) refuse input "not among the builds: $what" ;; esac ;;
            command.-) [ -n "$program" ] && [ -n "$what" ] || refuse input 'a migration command needs a program' ;;
            .) ;;
            *) refuse input "not a migration: $kind $way" ;;
        esac
    done <<MIGRATIONS
$migrations
MIGRATIONS
    [ -n "$migrations" ] || refuse input 'no migration is declared'
}

strategy_programs() { printf 'comm cut env grep mktemp sort sync tar tr wc %s' "$(db_programs)"; }

# ------------------------------------------------------------------------------------------------------------------ judging

strategy_judge() { # false, with step and detail, where it cannot begin; changes nothing
    step=base
    if [ -e "$link" ] && ! [ -L "$link" ]; then
        detail="$link is not a link: this system was not installed by upgrader"
        return 1
    fi
    half=$(half_migrated)
    if [ -n "$half" ] && [ "$half" != "$open_key" ]; then
        step=restore detail="the database was left half migrated by $half: take that change back first"
        return 1
    fi
    for name in $(db_programs); do
        command -v "$name" >/dev/null || { step=tools detail="not found on this host: $name" && return 1; }
    done
    private=$(mktemp -d) || { step=space detail='no temporary folder' && return 1; }
    words=$private/told_words
    if db_look && has_room; then failed=''; else failed=yes; fi
    words=$safe/words
    rm -rf "$private"
    [ -z "$failed" ]
}

# Beside the server's data the database a second time (for the proof, and for the way back), and here two backups, which are never
# larger. Where nobody may know where the server keeps its data, only this disk is judged.
has_room() {
    step=space
    read_free_space
    detail="$((2 * db_kb + SPARE_KB)) KB are needed below $state for backups of $database, $free_kb KB are free"
    [ "$free_kb" -ge $((2 * db_kb + SPARE_KB)) ] || return 1
    detail="$((db_kb + SPARE_KB)) KB are needed beside the server's data to prove that $database can be restored, $data_kb KB are free"
    [ -z "$data_kb" ] || [ "$data_kb" -ge $((db_kb + SPARE_KB)) ] || return 1
    detail=''
}

# ---------------------------------------------------------------------------------------------- while the old version serves

strategy_prepare() {
    unpack_program
    put_beside
    program_home=$home
    forget_attempt
    prove || lose "$step" "$(last_words)"
    record proven "${proof:-by the rehearsal of this change}" || lose journal 'the journal of this host could not be written'
}

unpack_program() { # $unpacked is the version; without a program only what we note of it
    if [ -n "$program" ]; then
        place_build "$program"
        file=$(printf '%s' "$builds" | sed -n "s/^$program [0-9]* //p")
        unpack
        fill_templates || lose config "$detail"
        note_templates || lose space 'disk full'
        [ "$manager" = none ] || check_service_files
    else
        rm -rf "$unpacked"
        mkdir "$unpacked" || lose unpack "could not make $unpacked"
        printf 'sha256=%s\nkey=%s\nversion=%s\n' "$sha256" "$key" "$version" >"$unpacked/.upgrader" || lose space 'disk full'
    fi
}

forget_attempt() { # of this key, which was taken back since
    rm -rf "$safe/steps" "$safe/mark" "$safe/swapping" "$safe/point" "$safe/point.dump" "$safe"/statements.*
}

rehearse() { # the dry run: backup, proof and migrations on a database of its own; nothing stays but the proof
    take_lock
    read_journal
    strategy_read
    judge
    case $would.$step in
        failed.*) refuse "$step" "$detail" ;;
        unchanged.* | upgraded.switch) answer unchanged "$step" "$detail" ;;
    esac
    make_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    unpack_program
    was_there=$(ls -d "$home" 2>/dev/null)
    put_beside # under its own name: its configuration says so
    program_home=$home
    if prove; then failed=''; else failed=$step; fi
    [ -n "$was_there" ] || rm -rf "$home"
    [ -z "$failed" ] || lose "$failed" "$(last_words)"
    record rehearsed "$proof"
    answer unchanged rehearse "${proof:-was proven by this change}"
}

# ------------------------------------------------------------------------------------------------------------ the switch

strategy_switch() { # twice is once
    private=$safe steps=$safe/steps program_home=$home
    if ! [ -s "$safe/mark" ]; then
        make_restore_point || return 1
        step=migration
        migrate "$database" change && check_rows "$database" "$safe/rows.point" || return 1
        step=migration
        db_mark && printf '%s\n' "$horizon" >"$safe/mark.new" && sync "$safe/mark.new" && mv -f "$safe/mark.new" "$safe/mark" && sync "$safe" || return 1
        record migrated "$(shown_rows "$safe/rows.after")"
        rm -rf "$safe"/statements.* "$safe"/rows.*
    fi
    step=switch
    db_take_writes && point_current "$version" && strategy_lasts # no boot may find the old program and the new database
}

# Every migration in its order, each statement noted in $steps. False, with words in $output that say which one failed.
migrate() { # database rehearsal|change
    step=migration
    total=$(printf '%s' "$migrations" | wc -l)
    total=$((total)) place=0
    if ! { : >"$steps" && sync "$steps"; } then
        echo "$steps could not be written" >"$output"
        return 1
    fi
    while IFS=' ' read -r kind way digest_of_file what; do
        [ -n "$kind" ] || continue
        place=$((place + 1))
        printf 'migration %s of %s %s\n' "$place" "$total" "$what" >>"$steps"
        case $kind in
            sql) run_file "$1" "$way" "$digest_of_file" "$what" ;;
            command) run_command "$1" "$what" ;;
        esac || { say_where "$2" && return 1; }
    done <<MIGRATIONS
$migrations
MIGRATIONS
}

run_file() { # database whole|each sha256 file; false, with where it stopped
    where=$4
    place_build "$3"
    is_digest "$3" "$build" || { echo 'the file is gone from this host, or is not what was sent' >"$output" && return 1; }
    parts=$safe/statements.$place
    db_split "$build" "$parts" || return 1
    db_run "$2" "$parts" "$1" && printf 'all %s statements of %s\n' "$(($(wc -l <"$parts/lines")))" "$4" >>"$steps" && return 0
    number=$(told_of statement)
    case $number in
        commit) where="$4, at its end" ;;
        ?*)
            number=$((1$number - 10000))
            line=$(sed -n "s/^$number //p" "$parts/lines")
            where="statement $number of $(($(wc -l <"$parts/lines"))) of $4 (line $line)"
            ;;
    esac
    printf 'failed at %s\n' "$where" >>"$steps"
    return 1
}

run_command() { # database command: the vendor's own, in the folder of the new version
    where=$2
    db_environment "$owner" "$1" >"$safe/environment"
    also_words=$safe/command.log
    : >"$also_words"
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited "$limit_seconds" "$program_home" sh -c '
        while IFS= read -r line; do export "$line"; done <"$1"; exec sh -c "$3" >"$2" 2>&1' - "$safe/environment" "$safe/command.log" "$2"
    ended=$?
    ! says_too_much || : >"$also_words"
    also_words=''
    [ "$ended" != 0 ] || return 0
    [ -s "$output" ] || echo "ended with $ended; its words are in $safe/command.log on this host" >"$output" # else it was stopped
    printf 'failed: %s\n' "$2" >>"$steps"
    return 1
}

say_where() { # rehearsal|change
    why=$(last_words)
    step=migration
    if [ "$1" = rehearsal ]; then where="in the rehearsal, $where"; fi
    printf '%s: %s\n' "$where" "$why" >"$output"
}

# ------------------------------------------------------------------------------------------------------------ the way back

strategy_no_return() { # the migrations ran, and the release declares that nothing leads back from there
    [ "$promise" = irreversible ] && [ -s "$safe/mark" ] && detail='the release declares that its data can not go back'
}

strategy_can_go_back() {
    if strategy_no_return; then return 1; fi
    [ -z "$from" ] || [ -d "$versions/$from" ] || { detail="version $from is no longer on this host" && return 1; }
    if ! has_migrated; then return 0; fi # nothing of the database was touched yet
    is_point_whole || { detail="the restore point $safe/point.dump is not there, or is not what was kept" && return 1; }
}

strategy_back() { # twice is once
    make_safe || return 1
    if has_migrated; then
        restore && rm -f "$safe/steps.restored" && mv "$safe/steps" "$safe/steps.restored" || return 1
        record restored "${remark:-nothing was written since}; what was there is the database $left"
    elif [ -n "$was_started" ]; then
        step=others
        db_take_writes || return 1
    fi
    step=switch
    point_current "$from" && strategy_lasts
}

strategy_clean() {
    rm -rf "$versions"/.*.new "$versions"/.*.old "$link.new" "$safe/try.dump"
}

strategy_prune() {
    forget_restore_points
    prune_versions
}
