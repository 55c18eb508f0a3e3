# The strategy `data-fix`, which corrects data: statements that a vendor signed, on the database host, in one
# transaction that also notes itself in the database. There is no version to switch and no dead-man: the commit is the point
# of no return, and what leads back is the undo file, whose way back was walked before the commit.
#
# What is true is read from the database (upgrader.corrections), never from our journal: a correction that was committed
# while its psql, this script or the host was killed is there, and is not run again.

# ---------------------------------------------------------------------------------------------------------- its inputs

strategy_places() { # corrections have folders of their own: their journal is no system's, and files hold patients' data
    database=${database:-} tables=${tables:-} statement_seconds=${statement_seconds:-30} lock_seconds=${lock_seconds:-5}
    note_undo='' locks=''
    state=$state/corrections
    undo=$state/$system/undo.$key
    words=$state/$system/words.$key
}

strategy_input() { # name value: an input that only this strategy knows
    case $1 in
        database) database=$2 ;;
        table) tables=${tables:-}$2$NEWLINE ;;
        statement_seconds) statement_seconds=$2 ;;
        lock_seconds) lock_seconds=$2 ;;
        *) return 1 ;;
    esac
}

strategy_check() { # and put the tables into the form in which they are asked for: a VALUES list, and names for LOCK TABLE
    is_name "${database:-}" || refuse input "not the name of a database: $database"
    for number in "${statement_seconds:-30}" "${lock_seconds:-5}"; do
        case $number in *[!0-9]* | '' | ??????*) refuse input "not a number of seconds: $number" ;; esac
    done
    count=0 declared='' table_names=''
    while read -r name expected more; do
        [ -n "$name" ] || continue
        is_name "${name%%.*}" && is_name "${name#*.}" && [ -z "$more" ] || refuse input "not a schema and a table: $name $more"
        case $expected in *[!0-9]* | '' | ????????*) refuse input "not a number of rows: $expected" ;; esac
        count=$((count + 1))
        declared="$declared${declared:+, }($count, '${name%%.*}', '${name#*.}', $expected)"
        table_names="$table_names${table_names:+, }\"${name%%.*}\".\"${name#*.}\""
    done <<TABLES
${tables:-}
TABLES
    [ -n "$declared" ] || refuse input 'no table is declared'
    # Folders and parameters go into the environment and the arguments of psql, and two of them through a shell.
    case $state in *\'*) refuse input "not a plain folder: $state" ;; esac
}

strategy_folders() { # who sends the build goes through our folder, and sees nothing in it
    chmod 0711 "$state"
    rm -rf "$state"/ask.* # of a run that was killed
}

# ------------------------------------------------------------------------------------------------------------ the verbs

stage() { # keep the build that was sent, if it is the one that was meant
    take_lock
    make_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    answer unchanged receive ''
}

expire() { # there is no dead-man: what is committed is committed
    refuse input 'a correction does not expire'
}

probe() { # changes nothing: whether the correction can be run here
    look
    judge
    answer unchanged "$step" "$detail"
}

status() { # changes nothing: whether this correction is noted as run
    look
    if [ -n "$answered" ]; then running=true; else running=false; fi
    if [ -n "$current" ]; then healthy=true; else healthy=false; fi
    answer unchanged status "${refusal:-$detail}"
}

rehearse() { # the dry run: everything but the commit, and the rows as they were and as they would be
    open_for_work
    case $would in upgraded) ;; *) refuse "$step" "$detail" ;; esac
    [ -z "$note_key" ] || refuse base "the correction was run by $note_key"
    receive
    [ -z "$need" ] || ask_for_the_build
    locks="LOCK TABLE $table_names IN SHARE ROW EXCLUSIVE MODE;"
    ask_database /dev/null sql_front sql_begin sql_tables sql_watch sql_run sql_images sql_prove_undo sql_show_and_forget
    read_counts
    case $told in *"${NEWLINE}forgotten"*) ;; *) refuse "$step" "$detail" ;; esac
    rows=$(printf '%s\n' "$told" | sed -n 's/^shown //p' | tail -n 1)
    record rehearsed "$counted"
    answer unchanged rehearse "$counted"
}

apply() {
    open_for_work
    case $would in
        failed) refuse "$step" "$detail" ;;
        unchanged) answer unchanged "$step" "$detail" ;;
    esac
    if [ "$note_key" = "$key" ]; then tell_what_is_noted; fi # committed, and nobody lived to tell
    receive
    [ -z "$need" ] || ask_for_the_build
    record began "$sha256" || refuse journal 'the journal of this host could not be written'
    locks="LOCK TABLE upgrader.corrections IN SHARE ROW EXCLUSIVE MODE; LOCK TABLE $table_names IN ACCESS EXCLUSIVE MODE;"
    ask_database /dev/null sql_front sql_make_notes sql_begin sql_tables sql_watch sql_run sql_images sql_prove_undo sql_keep_and_commit
    read_counts
    read_away
    said=$detail failed_at=$step
    look
    [ -n "$answered" ] || lose_sight "$failed_at" "$said"
    step=$failed_at detail=$said
    [ "$note_key" = "$key" ] || fail_unchanged
    changed=true
    record committed "$note_undo"
    tell_what_is_noted
}

confirm() { # the controller has seen it
    take_lock
    look
    [ -n "$answered" ] || refuse "$step" "$detail"
    [ "$note_key" = "$key" ] || refuse confirm 'nothing to confirm: this change is not noted in the database'
    read_journal
    [ "$key_fact" = confirmed ] || record confirmed || refuse confirm 'the journal of this host could not be written'
    forget_build
    tell_what_is_noted
}

revert() { # put back the rows that this key changed, unless somebody changed them since
    take_lock
    look
    [ -n "$answered" ] || refuse "$step" "$detail"
    to=$version
    if [ "$note_key" != "$key" ]; then
        forget_build
        answer unchanged revert 'this change did nothing here, or it is already taken back'
    fi
    [ -z "$refusal" ] || refuse check "$refusal"
    printf '%s  %s\n' "$note_undo" "$undo" | sha256sum -c >/dev/null 2>&1 || refuse undo "$undo is not there, or is not what was kept"
    record undo-started "$note_undo" || refuse journal 'the journal of this host could not be written'
    locks="LOCK TABLE upgrader.corrections IN SHARE ROW EXCLUSIVE MODE; LOCK TABLE $table_names IN SHARE ROW EXCLUSIVE MODE;"
    ask_database "$undo" sql_front sql_begin sql_tables sql_take_back
    read_away
    said=$detail failed_at=$step
    look
    [ -n "$answered" ] || lose_sight "$failed_at" "$said"
    if [ -n "$note_key" ]; then
        record undo-failed "$failed_at: $said"
        refuse "$failed_at" "$said"
    fi
    changed=true from=''
    record taken-back
    answer rolled-back revert ''
}

# --------------------------------------------------------------------------------------------- judging, before the act

open_for_work() {
    take_lock
    make_folders
    look
    judge
}

judge() { # sets would, step and detail
    would=failed
    if [ -z "$answered" ]; then
        : # step and detail say why
    elif [ -n "$note_key" ] && [ "$note_build" != "$sha256" ]; then
        step=base detail="version $version was run here from another build (sha256 $note_build)"
    elif [ "$note_key" = "$key" ]; then
        would=upgraded step=probe detail='was run by this change'
    elif [ -n "$note_key" ]; then
        would=unchanged step=probe detail="was run by $note_key"
    elif [ -n "$refusal" ]; then
        step=check detail=$refusal
    elif ! may_write "$state"; then
        step=rights detail="$state must be writable for $(id -un)"
    elif read_free_space && [ "$free_kb" -lt "$SPARE_KB" ]; then
        step=space detail="$SPARE_KB KB are needed below $state, $free_kb KB are free"
    else
        would=upgraded step=probe detail=''
    fi
}

# Ask the database what it knows: sets current, digest and note_*; `answered` stays empty when it did not tell.
look() {
    answered='' refusal='' note_key='' note_build='' note_undo='' note_rows='' current='' digest=''
    locks=''
    ask_database /dev/null sql_front sql_note sql_check
    case $NEWLINE$told in *"${NEWLINE}noted"*) answered=yes ;; *) return 0 ;; esac
    found=$(printf '%s\n' "$told" | sed -n 's/^note //p' | tail -n 1)
    [ -n "$found" ] || return 0
    read -r note_key note_build note_undo note_rows <<NOTE
$found
NOTE
    current=$version digest=$note_build
}

strategy_read() { :; } # an answer tells what the last look saw, which is always just before it

tell_what_is_noted() {
    from='' to=$version
    read_journal
    answer upgraded "${1:-committed}" "$note_rows rows; undo file sha256:$note_undo"
}

fail_unchanged() { # the transaction ended without its note: it was rolled back, whole
    rm -f "$undo"
    record failed "$step: $detail"
    refuse "$step" "$detail"
}

lose_sight() { # step detail: nobody can say whether it was committed; the next call will look again
    changed=true
    record failed "$1: $2; then the database did not answer"
    answer failed "$1" "$2; then the database did not answer: whether it was committed is not known"
}

# ------------------------------------------------------------------------------------------------------------ the database

# Runs these pieces of ours in one psql and one session, with a file as its standard input. Sets told (our own lines), step
# (how far it came) and detail. The vendor's words, rows and errors may hold patients' data: they stay in files of mode 0600.
ask_database() { # input piece...
    input=$1
    shift
    step=connect detail=''
    psql=$(site_value database_programs '')
    psql=${psql:+$psql/}psql
    command -v "$psql" >/dev/null || { told='' step=tools detail="not found on this host: $psql"; return 0; }
    if [ -w "$state" ]; then private=$(mktemp -d "$state/ask.XXXXXX"); else private=$(mktemp -d); fi || { told='' step=space detail='no temporary folder'; return 0; }
    for piece in "$@"; do "$piece"; done >"$private/pieces.sql"
    (umask 077 && : >"$private/told" && : >"$private/words")
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited $((3 * statement_seconds + 3 * lock_seconds + 30)) / sh -c '
        umask 077; input=$1 told=$2 words=$3; shift 3
        exec env -i UPGRADER_MARK="$UPGRADER_MARK" PATH="$PATH" LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=10 \
            PGAPPNAME=upgrader "$@" <"$input" >"$told" 2>"$words"' - "$input" "$private/told" "$private/words" \
        "PGHOST=$(site_value database_host /var/run/postgresql)" "PGPORT=$(site_value database_port 5432)" \
        "PGUSER=$(site_value database_role "$(id -un)")" "PGDATABASE=$database" \
        "PGPASSFILE=$(site_value database_passfile "$state/no-password")" \
        "$psql" -X -q -A -t -w \
        -v "declared=$declared" -v "locks=$locks" -v "key=$key" -v "system=$system" -v "version=$version" -v "sha256=$sha256" \
        -v "build=$build" -v "undo_digest=$note_undo" -v "undo_new=$undo.new" \
        -v "keep_undo=chmod 600 '$undo.new' && sync '$undo.new' && mv -f '$undo.new' '$undo' && sync '$state' && sha256sum <'$undo' | cut -c 1-64" \
        -v "statement_timeout=${statement_seconds}s" -v "lock_timeout=${lock_seconds}s" -f "$private/pieces.sql"
    ended=$?
    told=$(cat "$private/told")
    read_words
    rm -rf "$private" "$undo.new"
}

read_words() { # sets step, refusal and detail from what psql said
    step=$(printf '%s\n' "$told" | sed -n 's/^step //p' | tail -n 1)
    step=${step:-connect}
    refusal=$(printf '%s\n' "$told" | sed -n 's/^refused //p' | tail -n 1)
    error=$(sed -n 's/^psql:.* \(ERROR\|FATAL\|PANIC\):  \([0-9A-Z]\{5\}: .*\)/\2/p' "$private/words" | tail -n 1)
    sqlstate=${error%%:*}
    if [ -n "$refusal" ]; then
        detail=$refusal
    elif [ "$sqlstate" = UP001 ] && [ "$step" != statements ]; then
        detail=${error#UP001: }
    elif [ "$step" = connect ] && [ "$ended" != 0 ]; then
        detail=$(tail -n 1 "$private/words") # before any row was read
    elif [ -n "$sqlstate" ]; then
        (umask 077 && cat "$private/words" >"$words") 2>/dev/null
        detail="$(meaning_of "$sqlstate") (SQLSTATE $sqlstate); the database's own words are in $words on this host"
    elif [ "$ended" != 0 ]; then
        detail="psql ended with $ended: $(last_words)"
    fi
}

read_counts() { # `public.result 3 of 3, public.note 1 of 2`
    counted=$(printf '%s\n' "$told" | sed -n 's/^rows \([^ ]*\) \([^ ]*\) \([^ ]*\)$/\1 \3 of \2/p' | tr '\n' ',' | sed 's/,$//; s/,/, /g')
}

read_away() { # how long the tables could not be read, in milliseconds
    downtime_ms=$(printf '%s\n' "$told" | sed -n 's/^away \([0-9]*\)$/\1/p' | tail -n 1)
}
