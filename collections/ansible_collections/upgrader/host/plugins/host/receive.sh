# The builds on their way in.

make_folders() {
    mkdir -p "$state" "$incoming" 2>/dev/null || refuse rights "could not make $state"
    strategy_folders
    chmod 0700 "$incoming"
    [ "$(id -u)" != 0 ] || [ -z "$user" ] || chown "$user" "$incoming" || refuse rights "could not give $incoming to $user"
}

receive() { # sets need=build, and the build that is meant, unless every right build is here
    need=''
    while IFS=' ' read -r sha256_of _ file_of; do
        [ -n "$sha256_of" ] || continue
        place_build "$sha256_of"
        receive_one "$sha256_of"
        [ -z "$need" ] || return 0
    done <<BUILDS
$builds
BUILDS
}

place_build() { # sha256: where this build arrives, and where it is kept
    part=$incoming/$1.part build=$state/$1.build
}

receive_one() { # sha256
    [ ! -e "$part" ] || mv -f "$part" "$build"
    # What was moved is judged in our own folder: its sender can no longer put another thing in its place.
    if [ -f "$build" ] && [ ! -L "$build" ]; then
        [ "$(id -u)" != 0 ] || chown 0:0 "$build"
        chmod 0600 "$build"
        if printf '%s  %s\n' "$1" "$build" | sha256sum -c >/dev/null 2>&1; then return; fi
        detail="the build that was here is not sha256 $1"
    fi
    need=build wanted=$1
    rm -f "$build" "$part"
}

forget_build() {
    rm -f "$state"/*.build "$incoming"/*.part
}

ask_for_the_build() {
    case $sent in 1 | "$wanted") refuse receive "${detail:-the build did not arrive}" ;; esac
    read_free_space
    answer unchanged receive "$detail"
}
