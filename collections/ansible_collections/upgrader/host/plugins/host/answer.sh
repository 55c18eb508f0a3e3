# What is told.

refuse() { # step detail: fails, and this call has changed nothing
    answer failed "$1" "$2"
}

lose() { # step detail: fails after `began` and before the switch
    rm -f "$state/listing" "$state/unpacking.tar" "$state/values" "$state/configs" "$state/filled"
    strategy_clean
    [ "$1" != space ] || forget_build
    disarm
    record failed "$1: $2"
    answer failed "$1" "$2"
}

tell_need() { # which build, where to send it, how much of it is here already, and from which builds a patch would do
    member wanted "$wanted"
    member upload "$part"
    number have "$have"
    member prefix "$prefix"
    member bases "$bases"
    member stream "$talking"
}

last_words() { # the last line that the last command said
    [ -s "$output" ] || { printf 'it said nothing' && return; }
    # shellcheck disable=SC2016 # `$` is the last line, for sed
    said=$(tail -c 2000 "$output" 2>/dev/null | tr '\000-\010\013-\037\177' ' ' | sed -n '/[^[:space:]]/h;${x;p;}')
    plain "${said:-it said nothing}"
}

plain() { # text: on one line, and short; what is so already costs no process
    case $1 in
        *[[:cntrl:]]*) ;;
        *) [ "${#1}" -gt 400 ] || { printf '%s' "$1" && return; } ;;
    esac
    printf '%s' "$1" | tr '\000-\037\177' ' ' | cut -c 1-400
}

member() { # name text: as a member of a JSON object
    case $2 in
        *[\\\"[:cntrl:]]*) printf ',"%s":"%s"' "$1" "$(plain "$2" | sed 's/[\\"]/\\&/g')" ;;
        *) printf ',"%s":"%s"' "$1" "$2" ;;
    esac
}

number() { # name text
    [ -z "$2" ] || printf ',"%s":%s' "$1" "$2"
}

answer() { # outcome step detail: one line of JSON, and the end. The state told is read back here, not remembered
    if [ -n "$journal" ]; then
        read_journal
        strategy_read
    fi
    fact=$(
        printf '{"format":"%s","verb":"%s","outcome":"%s","changed":%s' "$FORMAT" "$verb" "$1" "$changed"
        member step "$2"
        member detail "$3"
        member from "$from"
        member to "$version"
        member current "$current"
        member digest "$digest"
        member pending "$pending"
        member key_state "$key_fact"
        member would "$would"
        member need "$need"
        [ -z "$need" ] || tell_need
        [ -z "$rows" ] || printf ',"rows":%s' "$rows"
        number running "$running"
        number healthy "$healthy"
        number free_kb "$free_kb"
        number downtime_ms "$downtime_ms"
        number unpack_ms "$unpack_ms"
        number health_ms "$health_ms"
    )
    release_lock
    [ "$output" = /dev/null ] || rm -f "$output"
    printf '%s}\n' "$fact"
    exit 0
}
