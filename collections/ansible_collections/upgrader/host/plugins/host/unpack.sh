# An archive becomes the folder $unpacked; nothing is unpacked before its whole listing is known to be harmless.

unpack() {
    tick
    started=$clock
    listing=$state/listing
    [ ! -e "$unpacked" ] || rm -rf "$unpacked"
    mkdir "$unpacked" || lose unpack "could not make $unpacked"
    decompress
    untar -t -v >"$listing" 2>"$output" || lose unpack "the build is not a whole archive: $(last_words)"
    # busybox makes such names harmless before it lists them, and only says so.
    case $(last_words) in *emoving\ leading*) lose unpack "leads outside: $(last_words)" ;; esac
    check_listing
    untar -x -o -C "$unpacked" >"$output" 2>&1 || lose unpack "$(last_words)"
    rm -f "$listing" "$plain_archive"
    printf 'sha256=%s\nkey=%s\nversion=%s\n' "$sha256" "$key" "$version" >"$unpacked/.upgrader" || lose unpack 'disk full'
    tick
    unpack_ms=$(((clock - started) * 10))
}

# Decompressing is most of the work, and listing and unpacking both need it: it is done once, into a file of our own that is
# gone before the switch. An archive that would not leave the spare room on this disk is stopped on the way (ulimit counts
# 512 bytes); how much it unpacks to is judged by the listing.
decompress() {
    plain_archive=$state/unpacking.tar
    [ ! -e "$plain_archive" ] || rm -f "$plain_archive"
    case $build.$file in
        *.tar."$file") return 0 ;; # rebuilt from a patch
        *.gz | *.tgz) program=gzip ;;
        *.xz | *.txz) program=xz ;;
        *.bz2 | *.tbz) program=bzip2 ;;
        *) return 0 ;;
    esac
    command -v "$program" >/dev/null || return 0 # the tar of busybox needs none
    read_free_space
    [ "$free_kb" -gt "$SPARE_KB" ] || lose space "$SPARE_KB KB are needed below $state, $free_kb KB are free"
    (
        umask 077
        ulimit -f $(((free_kb - SPARE_KB) * 2))
        # Not the last command: so it is this shell whose words about a stopped program are thrown away.
        "$program" -dc <"$build" >"$plain_archive" 2>"$output" || exit 1
    ) 2>/dev/null && return
    read_free_space
    [ "$free_kb" -le $((SPARE_KB + 1024)) ] || lose unpack "the build is not a whole archive: $(last_words)"
    lose space "the build unpacks to more than there is room for below $state"
}

untar() { # options
    if [ -f "$plain_archive" ]; then
        tar "$@" -f "$plain_archive"
        return
    fi
    case $build.$file in
        *.tar."$file") tar "$@" -f "$build" ;; # rebuilt from a patch
        *.gz | *.tgz) tar -z "$@" -f "$build" ;;
        *.xz | *.txz) tar -J "$@" -f "$build" ;;
        *.bz2 | *.tbz) tar -j "$@" -f "$build" ;;
        *) tar "$@" -f "$build" ;;
    esac
}

# Only files and folders, no set-id bits, no name that leads out, and enough room: nothing is unpacked before this is known.
check_listing() {
    verdict=$(awk '
        !/^[-d]/ { print "only files and folders are taken: " $0; exit }
        substr($0, 1, 10) ~ /[sStT]/ { print "set-id and sticky bits are not taken: " $0; exit }
        {
            if (!match($0, / [0-9]+ [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9:]+ /)) { print "cannot be read: " $0; exit }
            split(substr($0, RSTART + 1, RLENGTH), field, " ")
            name = substr($0, RSTART + RLENGTH)
            if (name ~ /^\// || ("/" name "/") ~ /\/\.\.\//) { print "leads outside: " name; exit }
            if (name ~ /^(\.\/)?\.upgrader$/) { print "is our own name: " name; exit }
            bytes += field[1] + 4096
        }
        END { print bytes / 1024 }' "$listing")
    case $verdict in
        *[!0-9.e+]* | '') lose unpack "the archive is refused: ${verdict%%"$NEWLINE"*}" ;;
    esac
    kilobytes=${verdict%%.*}
    below=${unpacked%/*}
    free=$(free_kb_of "$below")
    [ "$free" -ge $((kilobytes + SPARE_KB)) ] || lose space "$((kilobytes + SPARE_KB)) KB are needed below $below, $free KB are free"
}
