# The service: systemd's, or the vendor's own script.

stop_service() { # version
    [ -n "$1" ] && [ "$manager" != none ] || return 0
    if [ "$manager" = systemd ]; then
        # A restart stops the old process too, and is shorter; stopping alone is for files that change under it, and for
        # a system that goes away.
        if [ -z "$from" ]; then
            run_limited "$start_seconds" / systemctl disable --now "$service"
        elif [ -n "$stops_first" ]; then
            run_limited "$start_seconds" / systemctl stop "$service"
        else
            return 0
        fi
        ! systemctl is-active --quiet "$service"
        return
    fi
    folder_of "$1"
    [ -x "$folder/$script" ] || return 0
    # One session asks it to stop and looks whether it did: the service is down meanwhile.
    # shellcheck disable=SC2016 # expanded by that shell
    run_limited "$start_seconds" "$folder" sh -c '"$1" stop; "$1" status || exit 0; exit 3' - "$folder/$script" && return
    if is_running "$1"; then echo "version $1 did not stop" >>"$output"; return 1; fi
}

start_service() { # version
    [ "$manager" != none ] || return 0
    if [ "$manager" = systemd ]; then
        systemctl reset-failed "$service" 2>/dev/null
        run_limited "$start_seconds" / systemctl restart "$service"
    else
        folder_of "$1"
        run_limited "$start_seconds" "$folder" "$folder/$script" start
    fi
}

is_running() { # version; where no service belongs to it, it runs
    [ -n "$1" ] || return 1
    [ "$manager" != none ] || return 0
    if [ "$manager" = systemd ]; then
        systemctl is-active --quiet "$service"
    else
        folder_of "$1"
        [ -x "$folder/$script" ] && run_limited "$start_seconds" "$folder" "$folder/$script" status
    fi
}

read_main_process() { main_process=$(show_main_process); }

show_main_process() {
    [ "$manager" != systemd ] || systemctl show --property MainPID,NRestarts "$service"
}

is_healthy() { # version; one that never had this check counts as healthy if it runs
    [ -n "$health" ] || return 0
    folder_of "$1"
    [ -e "$folder/${health%% *}" ] || [ "$1" = "$version" ] || return 0
    run_limited "$health_seconds" "$folder" sh -c "$health"
}

folder_of() { folder=$(strategy_home "$1"); } # version: where its programs lie

installed_unit() { printf '/etc/systemd/system/%s.service' "$service"; }

install_unit() { # file: before the switch, so that only the restart is downtime
    [ "$manager" = systemd ] && [ -n "$unit" ] || return 0
    : >"$output"
    [ -f "$1" ] || { echo "there is no unit file $1" >"$output"; return 1; }
    cp "$1" "$(installed_unit).new" && mv -f "$(installed_unit).new" "$(installed_unit)" || return 1
    systemctl daemon-reload >"$output" 2>&1 || return 1
    systemctl is-enabled --quiet "$service" 2>/dev/null || systemctl enable --quiet "$service" >"$output" 2>&1
}

keep_unit() { # the unit file as it is, for the way back; kept once per change
    [ "$manager" = systemd ] && [ -n "$unit" ] || return 0
    if [ -f "$(installed_unit)" ]; then cp "$(installed_unit)" "$state/unit.$key"; else rm -f "$state/unit.$key"; fi
}

restore_unit() {
    [ "$manager" = systemd ] && [ -n "$unit" ] || return 0
    : >"$output"
    if [ -f "$state/unit.$key" ]; then
        cp "$state/unit.$key" "$(installed_unit).new" && mv -f "$(installed_unit).new" "$(installed_unit)"
    else
        rm -f "$(installed_unit)"
    fi && systemctl daemon-reload >"$output" 2>&1
}

forget_old_units() { # that of this change stays: a rollback needs it
    for old in "$state"/unit.*; do
        [ "$old" = "$state/unit.$key" ] || rm -f "$old"
    done
}
