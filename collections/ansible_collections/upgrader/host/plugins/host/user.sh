# Whoever works on this machine: asked before the switch, told, waited for, and never cut off without a word.

# The release's own program tells: 0 nobody works, 1 somebody does. Anything else can't tell, and counts as somebody.
wait_for_user() { # between staging and the switch
    [ -n "$busy" ] || return 0
    find_busy_program || lose busy "the program that tells whether somebody works is not there: ${busy%% *}"
    user_is_busy || return 0
    record user-busy "$(last_words)" || lose journal 'the journal of this host could not be written'
    tell_user
    tick
    until_clock=$((clock + busy_seconds * 100))
    while user_is_busy; do
        tick
        [ "$clock" -lt "$until_clock" ] || break
        sleep "$busy_nap"
    done
    [ "$clock" -ge "$until_clock" ] || return 0
    [ "$busy_then" = go-on ] || defer "somebody works on it: $(last_words)"
    tell_user
    remark='went on while somebody worked, who had been told'
    record user-told "$remark" || lose journal 'the journal of this host could not be written'
}

find_busy_program() { # in the version that comes, else in the one that runs
    for holder in "$version" "$from"; do
        [ -n "$holder" ] || continue
        folder_of "$holder"
        [ ! -e "$folder/${busy%% *}" ] || { busy_folder=$folder && return 0; }
    done
    return 1
}

user_is_busy() {
    ! run_limited 20 "$busy_folder" sh -c "$busy"
}

tell_user() { # a notice that can't be shown is no reason to stop; its words are in the journal
    [ -z "$notice" ] || run_limited 20 "$busy_folder" sh -c "$notice" || record notice-failed "$(last_words)"
}

defer() { # detail, step if it is not `busy`: nothing was switched; what was received stays for the next time
    strategy_clean
    record deferred "$1"
    answer busy "${2:-busy}" "$1"
}
