# Programs of a vendor run in their own session and no longer than they may.

MOST_WORDS=16777216 # bytes that such a program may say; its last line is all that is told

# Run a command in a session of its own, in a folder, its words in $output. After the limit, or when it says more than anybody
# reads (there, or in the file $also_words), it is ended with all its children, also those that left its process group: they
# carry its mark in their environment. 124 or 125 then.
run_limited() { # seconds folder command...
    limit=$1 folder=$2
    shift 2
    tick
    mark=$$.$clock
    { true >"$output"; } 2>/dev/null || output=/dev/null # where the disk takes no file, its words are lost; it runs all the same
    limit_at=$((clock + limit * 100 - 5)) # clocks may differ by a little
    (
        if [ -n "$LOCALE" ]; then LC_ALL=$LOCALE; else unset LC_ALL; fi
        cd "$folder" && UPGRADER_MARK=$mark exec setsid "$@"
    ) </dev/null >"$output" 2>&1 &
    child=$!
    # shellcheck disable=SC2016 # expanded by that shell
    setsid sh -c '
        IFS=. read -r now _ </proc/uptime
        child=$1 end=$((now + $2)) most=$3
        shift 3
        while sleep 0.5 && IFS=. read -r now _ </proc/uptime && [ "$now" -le "$end" ]; do
            for words; do [ "$(wc -c <"$words")" -le "$most" ] || end=0; done
        done
        kill -KILL "-$child" || kill -KILL "$child"
        ' - "$child" "$limit" "$MOST_WORDS" "$output" "${also_words:-/dev/null}" </dev/null >/dev/null 2>&1 &
    guard=$!
    while :; do
        wait "$child" 2>/dev/null
        code=$?
        kill -0 "$child" 2>/dev/null || break # a signal to us ends `wait` too early
    done
    kill -KILL "-$guard" 2>/dev/null
    kill -KILL "$guard" 2>/dev/null
    wait "$guard" 2>/dev/null
    tick
    if [ "$code" -eq 137 ] && says_too_much; then
        end_marked
        echo "said more than $((MOST_WORDS / 1048576)) MB and was stopped: $*" >"$output"
        return 125
    fi
    # Killed, and not before its time: that was the guard.
    if [ "$code" -ne 137 ] || [ "$clock" -lt "$limit_at" ]; then return "$code"; fi
    end_marked
    echo "did not end within $limit s and was stopped: $*" >>"$output"
    return 124
}

says_too_much() {
    for words in "$output" "${also_words:-/dev/null}"; do
        [ "$(wc -c <"$words")" -le "$MOST_WORDS" ] || return 0
    done 2>/dev/null
    return 1
}

end_marked() {
    for environment in /proc/[0-9]*/environ; do
        case $({ tr '\0' '|' <"$environment"; } 2>/dev/null) in
            *"UPGRADER_MARK=$mark|"*) ;;
            *) continue ;;
        esac
        pid=${environment#/proc/}
        kill -KILL "${pid%/environ}" 2>/dev/null
    done
}
