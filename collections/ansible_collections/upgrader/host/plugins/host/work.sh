# Work that comes by itself, messages and jobs: kept out while the version changes, and let in again whatever happens.
#
# Facts in the journal: intake-stopped, intake-started, schedule-stopped, schedule-started (see `shut` and `let_in`).

intake_stop='' intake_start='' queue='' drain_seconds=0 count_in='' count_out='' replay='' held_back=''
job='' job_seconds=0 job_then=fail schedule_stop='' schedule_start='' work_nap=0.5

other_input() { # name value
    case $1 in
        intake_stop) intake_stop=$2 ;;
        intake_start) intake_start=$2 ;;
        queue) queue=$2 ;;
        drain_seconds) drain_seconds=$2 ;;
        count_in) count_in=$2 ;;
        count_out) count_out=$2 ;;
        replay) replay=$2 ;;
        held_back) held_back=$2 ;;
        job) job=$2 ;;
        job_seconds) job_seconds=$2 ;;
        job_then) job_then=$2 ;;
        schedule_stop) schedule_stop=$2 ;;
        schedule_start) schedule_start=$2 ;;
        *) strategy_input "$1" "$2" ;;
    esac
}

check_other_inputs() {
    is_inside "$held_back" || refuse input "leads outside: $held_back"
    for number in "$drain_seconds" "$job_seconds"; do
        case $number in *[!0-9]* | '' | ??????*) refuse input "not a number: $number" ;; esac
    done
    case $job_then in defer | fail) ;; *) refuse input "unknown: $job_then" ;; esac
}

strategy_data() { printf '%s' "$shared"; } # the folder whose files no version touches

# --- the transaction calls these

keep_work_out() { # armed, before the switch; where nothing is installed yet there is no work
    [ -n "$from" ] || return 0
    wait_for_job
    drain
}

let_work_in() { # the version that came is well
    [ -n "$from" ] || return 0
    hand_messages_on
    open_schedule "$version" || give_way schedule "$(last_words)"
}

before_way_back() { # the version that goes may have been at work already; false, with step, where a job does not end
    [ -n "$from" ] || return 0
    quiet_job_again || return 1
    drain_again
}

after_way_back() { # the version that was before runs again; false, with step and words in $output
    if bring_messages_back; then
        step=schedule
        open_schedule "$from" "$version"
    else
        reason=$(last_words)
        open_schedule "$from" "$version"
        echo "$reason" >"$output"
        return 1
    fi
}

# --- what messages and jobs share

shut() { # name command version...: written down first, so that whoever comes next opens it again
    record "$1-stopped" || { echo 'the journal of this host could not be written' >"$output" && return 1; }
    shift
    run_work 60 "$@"
}

let_in() { # name command version...: once is enough
    is_shut "$1" || return 0
    shut_name=$1
    shift
    run_work 60 "$@" && record "$shut_name-started"
}

is_shut() { [ "$(last_of "$1-stopped" "$1-started")" = "$1-stopped" ]; } # name

# Run a program of the first of these versions that has it; false, with words in $output.
run_work() { # seconds command version...
    work_seconds=$1 work_command=$2
    shift 2
    for holder in "$@"; do
        [ -n "$holder" ] || continue
        folder_of "$holder"
        [ -e "$folder/${work_command%% *}" ] || continue
        run_limited "$work_seconds" "$folder" sh -c "$work_command"
        return
    done
    echo "the program is not there: ${work_command%% *}" >"$output"
    return 1
}

read_number() { # seconds command version...: sets number to what the program prints; false, with words, where that is none
    run_work "$@" || return 1
    number=$(last_words)
    case $number in
        0) ;;
        *[!0-9]* | 0* | ????????????????*) echo "expected a number of $2, found: $number" >"$output" && return 1 ;;
    esac
}

last_of() { # fact fact: the one that this key wrote last, since it began; nothing where it wrote neither
    [ ! -r "$journal" ] || awk -v key="$key" -v one="$1" -v other="$2" '
        $4 == key && $5 == "began" { last = "" }
        $4 == key && ($5 == one || $5 == other) { last = $5 }
        END { print last }' "$journal"
}

said_of() { # fact: what this key wrote with it, since it began
    [ ! -r "$journal" ] || awk -v key="$key" -v fact="$1" '
        $4 == key && $5 == "began" { said = "" }
        $4 == key && $5 == fact { said = $0; for (field = 1; field < 8; field++) sub(/^[^ ]* /, "", said) }
        END { print said }' "$journal"
}

add_remark() { remark="${remark:+$remark; }$1"; }
