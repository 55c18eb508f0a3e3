# The journal of this host, its clock and its lock.

tick() { # sets clock: hundredths of a second since boot, which nobody sets back
    IFS=' ' read -r uptime _ </proc/uptime
    clock=$((${uptime%.*} * 100 + 1${uptime#*.} - 100))
}

# One line a fact, in the past tense, on disk before the next act: time boot clock key fact from to detail.
record() { # fact, detail
    tick
    # The last line may have been torn by a power cut; after a line of our own nobody else writes until the lock is given back.
    if [ -z "$line_whole" ] && [ -s "$journal" ] && [ -n "$(tail -c 1 "$journal")" ]; then echo >>"$journal"; fi
    line_whole=''
    printf '%s %s %s %s %s %s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$boot" "$clock" "$key" "$1" "${from:--}" "${to:-$version}" \
        "${2:+$(plain "$2")}" 2>/dev/null >>"$journal" || return 1
    line_whole=yes
    sync "$journal" 2>/dev/null || sync
}

# Sets open_* to the transaction that is neither confirmed nor taken back, key_* to the last one of this key, and `over` to
# the keys that switched after it.
read_journal() {
    open_key='' open_fact='' key_fact='' key_from='' key_to='' key_switched='' over=''
    [ -r "$journal" ] || return 0
    while read -r _ boot_then _ who fact old new said; do
        [ "$old" != - ] || old=''
        case $fact in
            armed | healthy) open_key=$who open_fact=$fact open_from=$old open_to=$new open_boot=$boot_then open_deadline=$said ;;
            switch-started | undo-started) open_key=$who open_fact=$fact open_from=$old open_to=$new ;;
            confirmed | taken-back | undo-failed | failed | deferred) open_key='' ;;
        esac
        if [ "$who" = "$key" ]; then
            key_fact=$fact key_from=$old key_to=$new
            case $fact in
                switch-started) key_switched=yes over='' ;;
                taken-back) key_switched='' ;;
            esac
        else
            case $fact in
                switch-started) over="${over% "$who"} $who" ;;
                taken-back) over=${over% "$who"} ;;
            esac
        fi
    done <"$journal"
    pending=$open_key
}

# The lock is a link whose text names its holder, so that making it and naming the holder are one act. A holder that is gone
# (process ended, or the host booted) is set aside by whoever makes the link named after it (`clear_left`).
take_lock() {
    [ -d "$state" ] || mkdir -p "$state" 2>/dev/null || refuse rights "could not make $state"
    # Not $$: in a conversation every call is a process of its own.
    IFS=' ' read -r me _ </proc/self/stat
    me=$me.$(start_of "$me").$boot
    tries=$((wait_seconds * 5 + 1)) unwritable=0
    until why=$(ln -sn "$me" "$state/lock" 2>&1); do
        holder=$(readlink "$state/lock") || { stand_without_lock "${why##*: }"; continue; }
        if is_gone "$holder" && clear_left "$state/lock" "$holder"; then continue; fi
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || refuse lock "another transaction runs on this host: process ${holder%%.*}"
        sleep "$nap"
    done
    lock=held
    for left in "$state"/gone.*; do # by one who died when the work was done; most hosts have none
        [ ! -L "$left" ] || rm -f "$left"
    done
    output=$state/output.$$
    tick
}

# Whoever removes what a dead one left holds a link named after the dead one meanwhile, so that nobody removes what a live one
# has made since. Who dies at it leaves that link, which is removed in the same way.
clear_left() { # link, and the dead holder that it names; true when one of the two is gone
    if ln -sn "$me" "$state/gone.$2" 2>/dev/null; then
        [ "$(readlink "$1")" != "$2" ] || rm -f "$1"
        rm -f "$state/gone.$2"
        return 0
    fi
    set -- "$state/gone.$2" "$(readlink "$state/gone.$2")"
    [ -n "$2" ] && is_gone "$2" && clear_left "$1" "$2"
}

# No lock could be made, and nobody holds it: it was given back just now, or the disk takes nothing more (what `-w` says is not
# asked: for root it says yes). The dead-man waits for as long as it takes.
stand_without_lock() { # why
    unwritable=$((unwritable + 1))
    [ "$unwritable" -lt 5 ] || [ "$verb" = expire ] || refuse rights "could not write below $state: $1"
    sleep "$nap"
}

release_lock() {
    [ -z "$lock" ] || rm -f "$state/lock"
    lock='' line_whole=''
}

is_gone() { # holder
    [ "${1##*.}" = "$boot" ] || return 0
    since=${1#*.}
    [ "$(start_of "${1%%.*}")" != "${since%%.*}" ]
}

start_of() { # pid: when it started, or nothing
    { IFS= read -r line </proc/"$1"/stat; } 2>/dev/null || return 0
    # shellcheck disable=SC2086 # the fields after the name, which alone may hold spaces
    set -- ${line##*) }
    shift 19
    printf '%s' "$1"
}
