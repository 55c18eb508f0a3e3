# The verbs, each ends with an answer.

probe() { # changes nothing: what is here, and what `apply` would do
    read_journal
    strategy_read
    read_free_space
    judge
    answer unchanged "$step" "$detail"
}

status() { # changes nothing: what is here, whether it runs and is healthy, and how far this key came
    read_journal
    strategy_read
    if is_running "$current"; then running=true; else running=false; fi
    if [ -n "$current" ] && is_healthy "$current"; then
        healthy=true
    else
        healthy=false detail=$(last_words)
    fi
    answer unchanged status "$detail"
}

rehearse() { # the dry run of strategies that can do more than look
    probe
}

stage() { # keep the builds that were sent, if they are those that were meant; nothing that runs is touched
    take_lock
    if [ "$sent" = 0 ]; then
        read_journal
        strategy_read
        judge
        case $would.$step in
            unchanged.*) answer unchanged probe "$detail" ;;
            failed.space | failed.rights | failed.tools) refuse "$step" "$detail" ;;
        esac
    fi
    make_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    answer unchanged receive ''
}

apply() { # from the version that runs to the one that is meant, or as it was
    take_lock
    read_journal
    settle_what_is_open
    strategy_read
    judge
    case $would in
        unchanged) from=$key_from && answer unchanged probe "$detail" ;;
        failed) refuse "$step" "$detail" ;;
    esac
    if resumes; then go_on; else begin; fi
    settle_and_check
    let_work_in
    record healthy "$(deadline)" || give_way journal 'the journal of this host could not be written'
    answer upgraded healthy "$remark"
}

begin() {
    make_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    from=$current to=$version
    record began "$sha256" || refuse journal 'the journal of this host could not be written'
    strategy_prepare
    wait_for_user
    arm
    keep_work_out
    switch
}

go_on() { # where an earlier run of this key was stopped, after its switch
    from=$open_from to=$version changed=true
    if [ "$open_fact" != healthy ]; then
        stop_service "$version" || give_way stop "$(last_words)"
        switch
    fi
}

confirm() { # the controller has seen the result: keep it
    take_lock
    read_journal
    strategy_read
    from=$key_from to=$key_to
    case $key_fact in
        confirmed) ;;
        healthy) keep_it ;;
        taken-back) answer rolled-back confirm 'this host had taken itself back: the change was not confirmed in time' ;;
        *) refuse confirm "nothing to confirm: this change is ${key_fact:-unknown} here" ;;
    esac
    disarm
    keep_base
    forget_build
    forget_old_builds
    strategy_prune
    forget_old_units
    forget_held
    answer upgraded confirmed ''
}

keep_it() {
    [ "$current" = "$version" ] || refuse confirm "expected version $version, found ${current:-none}"
    if is_overdue; then
        take_back 'confirmed too late' || answer failed "$step" "$detail"
        answer rolled-back confirm 'the confirmation came too late'
    fi
    record confirmed || refuse confirm 'the journal of this host could not be written'
    changed=true
}

revert() { # take back what this key did here
    take_lock
    read_journal
    strategy_read
    if [ -z "$key_switched" ]; then
        forget_unfinished
        answer unchanged revert 'this change did nothing here, or it is already taken back'
    fi
    [ -z "$over" ] || refuse revert "a later change came on top:$over"
    from=$key_from to=$key_to
    case $current in
        "$from" | "$to") ;;
        *) refuse revert "expected version $to, found ${current:-none}" ;;
    esac
    strategy_can_go_back || refuse revert "$detail"
    take_back 'asked for' || answer failed "$step" "$detail"
    answer rolled-back revert "$remark"
}

expire() { # the dead-man: sleep until the deadline, then take back what was not confirmed
    wait_seconds=86400 nap=1
    while :; do
        trap - TERM # asleep it may be stopped at once
        read_journal
        [ "$open_key" = "$key" ] || break
        if is_overdue; then
            take_lock # waits while `apply` is at work, which may write a later deadline
            trap : TERM
            read_journal
            if [ "$open_key" = "$key" ] && is_overdue; then
                from=$open_from to=$open_to
                take_back 'not confirmed in time'
                break
            fi
            release_lock
        else
            sleep "$(((open_deadline - clock + 99) / 100))"
        fi
    done
    forget_boot_unit
    answer unchanged expire ''
}
