# The dead-man: from `armed` on this host goes back by itself, unless somebody confirms.

deadline() { # in hundredths of a second since boot
    tick
    printf '%s' $((clock + confirm_seconds * 100))
}

# From here on the host goes back by itself: when the deadline passes, or when it boots and nobody has confirmed.
arm() {
    keep_unit
    keep_inputs || lose arm 'the dead-man could not be written'
    record armed "$(deadline)" || lose journal 'the journal of this host could not be written'
    case $manager in
        systemd) arm_systemd ;;
        *)
            setsid sh "$state/transaction.sh" expire "$state/armed" </dev/null >>"$state/deadman.log" 2>&1 &
            printf '%s.%s.%s\n' $! "$(start_of $!)" "$boot" >"$state/deadman"
            ;;
    esac || lose arm "the dead-man could not be started: $(last_words)"
}

keep_inputs() {
    printf '%s\n' "$(own_text)" '#:call' 'main "$@"' >"$state/transaction.sh.new" && (umask 077 && printf '%s' "$inputs" >"$state/armed") &&
        mv -f "$state/transaction.sh.new" "$state/transaction.sh" && sync "$state/armed" "$state/transaction.sh"
}

own_text() { # this script, as it was sent or as it is on disk, without the line that calls it
    if [ -n "${upgrader_script:-}" ]; then printf '%s\n' "$upgrader_script"; else cat "$0"; fi | sed '/^#:call$/,$d'
}

boot_unit() { printf '/etc/systemd/system/upgrader-%s.service' "$system"; }

arm_systemd() {
    wants=/etc/systemd/system/multi-user.target.wants
    cat >"$(boot_unit)" <<UNIT && mkdir -p "$wants" && ln -sf "$(boot_unit)" "$wants/" || return 1
[Unit]
Description=upgrader takes $system back, since its upgrade was not confirmed before this host went down
After=$service.service network.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh "$state/transaction.sh" expire "$state/armed"
[Install]
WantedBy=multi-user.target
UNIT
    end_deadman_unit
    systemd-run --quiet --collect --unit="upgrader-$system-deadman" /bin/sh "$state/transaction.sh" expire "$state/armed" >"$output" 2>&1
}

disarm() { # the sleeping dead-man reads the journal when it wakes; ending it now is only tidier
    forget_boot_unit
    [ "$verb" != expire ] || return 0
    if [ "$manager" = systemd ]; then
        end_deadman_unit
    elif [ -s "$state/deadman" ]; then
        IFS= read -r sleeper <"$state/deadman"
        is_gone "$sleeper" || kill -KILL "-${sleeper%%.*}" 2>/dev/null
        rm -f "$state/deadman"
    fi
    return 0
}

# We hold the lock, so the dead-man only sleeps or waits for it: it is killed, since asking it to stop would wait for us.
end_deadman_unit() {
    systemctl kill --signal=KILL "upgrader-$system-deadman.service" 2>/dev/null
    systemctl stop "upgrader-$system-deadman.service" 2>/dev/null
    return 0
}

forget_boot_unit() {
    [ "$manager" = systemd ] || return 0
    rm -f "/etc/systemd/system/multi-user.target.wants/upgrader-$system.service" "$(boot_unit)"
}

is_overdue() { # the open transaction ran out of time, or this host booted since, or going back was not finished
    [ "$open_boot" != "$boot" ] || [ "$open_fact" = undo-started ] || { tick; [ "$clock" -ge "$open_deadline" ]; }
}

# What another run left open is ended first: its own goes on in `apply` if it can, all that is overdue is taken back.
settle_what_is_open() {
    [ -n "$open_key" ] || return 0
    strategy_read
    if resumes; then return 0; fi
    if [ "$open_key" != "$key" ] && ! is_overdue; then return 0; fi # judge refuses it
    mine=$key
    key=$open_key from=$open_from to=$open_to
    take_back 'found unfinished' || refuse pending "change $key could not be taken back: $detail"
    key=$mine from='' to='' downtime_ms='' changed=false
    read_journal
}

forget_unfinished() { # what a run left that never switched
    strategy_clean
    if [ "$open_key" = "$key" ]; then
        from=$open_from to=$open_to
        take_back 'never switched' || answer failed "$step" "$detail"
    fi
}
