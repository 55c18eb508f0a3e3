# The switch, and the way back.

switch() {
    if ! record switch-started; then
        after_way_back || :
        lose journal 'the journal of this host could not be written'
    fi
    changed=true
    install_unit "$(strategy_home "$version")/$unit" || give_way service "$(last_words)"
    tick
    stopped_at=$clock
    stop_service "$from" || give_way stop "$(last_words)"
    step=switch
    strategy_switch || give_way "$step" "$(last_words)"
    start_service "$version" || give_way restart "$(last_words)"
    count_downtime
    strategy_lasts # a power cut before this is taken back at boot, wherever the link points then
}

# shellcheck disable=SC2329 # a strategy may have its own
strategy_lasts() { :; } # what the switch changed is on disk

count_downtime() { # from the stop to the end of the start command; the watching client knows better
    tick
    [ -z "$stopped_at" ] || downtime_ms=$(((clock - stopped_at) * 10))
}

settle_and_check() {
    read_main_process
    sleep "$settle"
    stays_up "$version" || give_way settle "the service did not stay up for $settle s"
    tick
    started=$clock
    is_healthy "$version" || give_way health "$(last_words)"
    tick
    health_ms=$(((clock - started) * 10))
    stays_up "$version" || give_way health 'the service ended while its health was checked'
}

stays_up() { # version
    is_running "$1" && [ "$main_process" = "$(show_main_process)" ]
}

give_way() { # step detail: what has begun fails; the host goes back at once
    failed_at=$1 reason=$2
    take_back "$failed_at: $reason" || answer failed "$failed_at" "$reason; then the way back failed at $step: $detail"
    answer rolled-back "$failed_at" "$reason${remark:+; $remark}"
}

strategy_no_return() { return 1; } # false, but for a strategy that knows a point from where nothing leads back

# Undo what the open transaction started: link, unit file and service are again as before. Safe to call again.
take_back() { # reason
    if strategy_no_return; then
        undo_fails no-return "$detail"
        return 1
    fi
    record undo-started "$1"
    changed=true
    was_started=$(started_switching)
    if [ -n "$was_started" ]; then
        before_way_back || undo_fails "$step" "$detail" || return 1
        tick
        stopped_at=${stopped_at:-$clock}
        stop_service "$to" && stop_service "$from" || undo_fails stop "$(last_words)" || return 1
    fi
    step=switch
    strategy_back || undo_fails "$step" "$(last_words)" || return 1
    restore_unit || undo_fails service "$(last_words)" || return 1
    if [ -n "$was_started" ] && [ -n "$from" ]; then
        start_service "$from" || undo_fails restart "$(last_words)" || return 1
        count_downtime
        read_main_process
        sleep "$settle"
        stays_up "$from" || undo_fails settle "version $from did not stay up" || return 1
        is_healthy "$from" || undo_fails health "version $from: $(last_words)" || return 1
    fi
    strategy_lasts
    after_way_back || undo_fails "$step" "version ${from:-none}: $(last_words)" || return 1
    record taken-back
    disarm
    forget_build
}

undo_fails() { # step detail: a person is needed; always false
    step=$1 detail=$2
    record undo-failed "$step: $detail"
    disarm
    return 1
}

started_switching() { # `yes` if the transaction of this key came as far as touching the service
    (read_journal && printf '%s' "$key_switched")
}
