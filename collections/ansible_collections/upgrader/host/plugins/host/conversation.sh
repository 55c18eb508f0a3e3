# Several calls over one connection: what would be a connection each, at a quarter of the cost. After the first call the
# controller says on descriptor 3, a line each:
#
#   call VERB SENT      the same inputs, another verb, and what was sent meanwhile
#   take BYTES PATH     that many bytes follow; they are a piece of a build
#
# Every call is a process of its own and ends with its answer, as if it had come alone. Between two calls nothing is held: no
# lock, no memory. When the controller says no more, or the link is cut, that is all.

talking='' # yes where bytes can be taken from the midst of what is said

# shellcheck disable=SC2329 # the line that the sender adds calls it
converse() { # verb; the inputs of all calls are on standard input
    trap : HUP INT PIPE TERM
    given=$(cat) asked=$1 brought=''
    # Exactly as many bytes as were asked for, and not one more: else the rest of the conversation would be lost.
    if [ "$(printf ab | dd bs=65536 count=1 iflag=fullblock,count_bytes 2>/dev/null)" = a ]; then talking=yes; fi
    while :; do
        printf '%s\n%s' "$given" "$brought" | (exec 3<&- && main "$asked") || return 0
        hear || return 0
    done
}

# shellcheck disable=SC2329 # of `converse`
hear() { # up to the next call; false when there is none
    while read -r said first second <&3; do
        case $said in
            call) asked=$first brought="sent=$second$NEWLINE" && return ;;
            take) take "$first" "$second" || return ;;
            *) return 1 ;;
        esac
    done
    return 1
}

# shellcheck disable=SC2329 # of `converse`
take() { # bytes path: a link that is cut leaves what came; when it cannot be written nothing stays, and that is answered
    case $1 in *[!0-9]* | '') return 1 ;; esac
    (umask 077 && dd bs=65536 count="$1" iflag=fullblock,count_bytes <&3 >"$2" 2>/dev/null) && return
    rm -f "$2"
    printf '%s\nsent=1\n' "$given" | (exec 3<&- && main stage)
    return 1
}
