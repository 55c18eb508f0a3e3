# Messages: the intake is stopped and the queue drained before the switch. After it, what was held back is replayed, and the
# intake opens when as many messages went out as came in. What is replayed is kept first: a version that loses it is taken
# back, and the one before gets all of it once more. So a message may come twice, but none is lost.
#
#   STATE/SYSTEM/held.KEY/    what was held back, while it is not certain that it went out
#
# Facts in the journal: drained (the counts), replaying, counted (the counts).

drain() { # the old version serves, and goes on serving where its queue does not empty in time
    [ -n "$intake_stop" ] || return 0
    step=intake
    shut intake "$intake_stop" "$from" "$version" && step=drain && wait_for_queue "$from" "$version" && step=counts &&
        read_counts "$from" "$version" && record drained "$counted_in $counted_out" && return
    drain_step=$step drain_reason=$(last_words)
    after_way_back || drain_reason="$drain_reason; then at $step: $(last_words)"
    lose "$drain_step" "$drain_reason"
}

wait_for_queue() { # version...: until nothing waits there; false, with words
    tick
    drained_by=$((clock + drain_seconds * 100))
    while read_number 20 "$queue" "$@"; do
        [ "$number" != 0 ] || return 0
        tick
        [ "$clock" -lt "$drained_by" ] || { echo "$number messages still wait in the queue after $drain_seconds s" >"$output" && return 1; }
        sleep "$work_nap"
    done
    return 1
}

read_counts() { # version...
    read_number 20 "$count_in" "$@" && counted_in=$number && read_number 20 "$count_out" "$@" && counted_out=$number
}

hand_messages_on() {
    [ -n "$intake_stop" ] || return 0
    if [ -z "$(said_of counted)" ]; then replay_and_count || give_way "$step" "$(last_words)"; fi
    let_in intake "$intake_start" "$version" || give_way intake "$(last_words)"
    add_remark "messages: $(said_of counted)"
}

replay_and_count() { # false, with step and words
    step=replay number=0
    if [ -n "$replay" ]; then
        keep_held && record replaying "what is in $held_back" && read_number "$((drain_seconds + 60))" "$replay" "$version" || return 1
    fi
    replayed=$number step=drain
    wait_for_queue "$version" || return 1
    step=counts before=$(said_of drained)
    read_counts "$version" || return 1
    came=$((counted_in - ${before% *})) went=$((counted_out - ${before#* }))
    if [ "$came" -ne "$replayed" ] || [ "$went" -ne "$came" ]; then
        echo "$replayed messages were replayed, $came came in, $went went out" >"$output"
        return 1
    fi
    record counted "$came in, $went out since the intake stopped; $counted_in in, $counted_out out in all"
}

held_folder() { printf '%s/%s' "$(strategy_data)" "$held_back"; }

keep_held() {
    [ -z "$(said_of replaying)" ] || return 0 # an earlier run kept it before it replayed
    rm -rf "$state/held.$key"
    (umask 077 && mkdir "$state/held.$key") >"$output" 2>&1 || return 1
    [ ! -d "$(held_folder)" ] || { cp -a "$(held_folder)/." "$state/held.$key/" && sync; } >"$output" 2>&1
}

drain_again() { # before the way back of a version that took messages already: nothing keeps it from going back
    [ -n "$intake_stop" ] && [ "$(last_of intake-stopped intake-started)" = intake-started ] || return 0
    if shut intake "$intake_stop" "$to" "$from" && wait_for_queue "$to" "$from"; then return 0; fi
    add_remark "before going back the queue did not empty: $(last_words)"
}

bring_messages_back() { # to the version that serves now; false, with step and words
    [ -n "$intake_stop" ] && is_shut intake || return 0
    step=replay
    if [ -n "$(said_of replaying)" ] && [ -z "$(said_of counted)" ] && [ -d "$state/held.$key" ]; then
        cp -a "$state/held.$key/." "$(held_folder)/" >"$output" 2>&1 || return 1
        add_remark 'what the other version had been given was replayed again'
    fi
    [ -z "$replay" ] || read_number "$((drain_seconds + 60))" "$replay" "$from" "$version" || return 1
    step=intake
    let_in intake "$intake_start" "$from" "$version" && forget_held
}

forget_held() { # most hosts have none
    for old in "$state"/held.*; do
        [ ! -e "$old" ] || rm -rf "$old"
    done
}
