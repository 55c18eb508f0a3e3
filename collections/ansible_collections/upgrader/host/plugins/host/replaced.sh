# The files of a partial upgrade, and those that they replace. A file that is not what the release, or this host, knows of it
# was changed by hand: nothing begins then.

replaces=''

take_replaced() { # value: `SHA256 PATH`, or `new PATH`
    case $1 in
        new\ ?* | ????????????????????????????????????????????????????????????????\ ?*) ;;
        *) refuse input "malformed: $1" ;;
    esac
    is_inside "${1#* }" || refuse input "leads outside: ${1#* }"
    replaces=$replaces$1$NEWLINE
}

unpack_set() { # the build becomes the folder $set, $paths the list of its files
    paths=$state/paths
    unpacked=$set
    case $file in
        *.zip) unzip_set ;;
        *) unpack && rm -f "$set/.upgrader" ;;
    esac
    (cd "$set" && find . -type f | sed 's|^\./||' | sort) >"$paths"
    [ -s "$paths" ] || lose unpack 'the build holds no file'
}

unzip_set() {
    command -v unzip >/dev/null || lose tools 'this build needs unzip, which is not on this host'
    rm -rf "$set"
    mkdir "$set" || lose unpack "could not make $set"
    bytes=$(unzip -l "$build" 2>"$output" | awk 'END { print $1 }')
    case $bytes in *[!0-9]* | '') lose unpack "the build is not a whole archive: $(last_words)" ;; esac
    has_room $((bytes / 1024)) "$set" || lose space "$detail"
    unzip -q -o "$build" -d "$set" >"$output" 2>&1 </dev/null || lose unpack "$(last_words)"
    odd=$(find "$set" ! -type f ! -type d | sed 1q)
    [ -z "$odd" ] || lose unpack "only files and folders are taken: ${odd#"$set/"}"
}

has_room() { # kilobytes folder
    free=$(free_kb_of "$2")
    detail="$(($1 + SPARE_KB)) KB are needed below $2, $free KB are free"
    [ "$free" -ge $(($1 + SPARE_KB)) ]
}

check_replaced() { # folder list: every file there is what the release says, or else what the list of this host says; false, with detail
    while IFS= read -r path; do
        is_replaceable "$1" "$2" "$path" || return 1
    done <"$paths"
    while IFS= read -r declared; do
        path=${declared#* }
        [ -z "$declared" ] || [ -f "$set/$path" ] || { detail="$path is named by the release and is not in the build" && return 1; }
    done <<REPLACES
$replaces
REPLACES
}

is_replaceable() { # folder list path
    declared=$(listed_digest "$3" <<REPLACES
$replaces
REPLACES
    )
    leads_over_link "$1" "$3" && detail="$3 leads over a link" && return 1
    if ! [ -e "$1/$3" ]; then
        detail="$3 is gone from this host, and the release replaces it"
        case $declared in new | '') return 0 ;; *) return 1 ;; esac
    fi
    [ -f "$1/$3" ] || { detail="$3 is no file on this host" && return 1; }
    [ "$declared" != new ] || { detail="$3 is new in this release, and is on this host already" && return 1; }
    if [ -z "$declared" ] && [ -r "$2" ]; then declared=$(listed_digest "$3" <"$2"); fi
    [ -n "$declared" ] || { detail="neither the release nor this host knows what $3 should be: the release has to name its sha256" && return 1; }
    found=$(digest_of "$1/$3")
    detail="$3 was changed by hand: expected sha256 $declared, found $found"
    [ "$found" = "$declared" ]
}

leads_over_link() { # folder path
    below=$1 rest=$2/
    while [ -n "$rest" ]; do
        below=$below/${rest%%/*} rest=${rest#*/}
        [ ! -L "$below" ] || return 0
    done
    return 1
}

listed_digest() { # path: from lines `SHA256 PATH` on standard input, or of sha256sum with its two blanks
    while IFS=' ' read -r digest_there path_there; do
        [ "$path_there" != "$1" ] || { printf '%s' "$digest_there" && return; }
    done
}

known_files() { # list: what this host will know from now on: what it knew, and the files of this release
    {
        while IFS= read -r path; do printf '%s %s\n' "$(digest_of "$set/$path")" "$path"; done <"$paths"
        [ ! -r "$1" ] || cat "$1"
    } | awk '{ path = $0; sub(/^[^ ]* /, "", path); if (!(path in seen)) { seen[path] = 1; print } }'
}
