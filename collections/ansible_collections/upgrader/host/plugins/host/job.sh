# Jobs that run by the clock: waited for, and never ended by us. Where the release says how, the next one is kept from starting.

# The release's own program tells: 0 no job runs, 1 one runs. Anything else can't tell, and counts as one that runs.
wait_for_job() { # armed, before the switch
    [ -n "$job" ] || return 0
    if [ -n "$schedule_stop" ] && ! shut schedule "$schedule_stop" "$from" "$version"; then
        reason=$(last_words)
        open_schedule "$from" "$version" || reason="$reason; $(last_words)"
        lose schedule "$reason"
    fi
    if job_ended "$from" "$version"; then return 0; fi
    reason="a job still runs after $job_seconds s: $(last_words)"
    open_schedule "$from" "$version" || lose schedule "$reason; $(last_words)"
    [ "$job_then" = defer ] || lose job "$reason"
    disarm
    defer "$reason" job
}

job_ended() { # version...; false, with words in $output
    tick
    ended_by=$((clock + job_seconds * 100)) told_job=''
    until run_work 20 "$job" "$@"; do
        [ -n "$told_job" ] || record job-running "$(last_words)"
        told_job=yes
        tick
        [ "$clock" -lt "$ended_by" ] || return 1
        sleep "$work_nap"
    done
}

open_schedule() { # version...
    [ -z "$schedule_stop" ] || let_in schedule "$schedule_start" "$@"
}

quiet_job_again() { # before the way back; false, with step and detail, where the job goes on: a person decides then
    [ -n "$job" ] || return 0
    [ -z "$schedule_stop" ] || is_shut schedule || shut schedule "$schedule_stop" "$to" "$from" || :
    if job_ended "$to" "$from"; then return 0; fi
    step=job detail="a job still runs after $job_seconds s: $(last_words)"
    open_schedule "$to" "$from" || :
    return 1
}
