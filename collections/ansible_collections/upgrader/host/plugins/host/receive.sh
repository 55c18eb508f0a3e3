# The build on its way in.

make_folders() {
    mkdir -p "$state" "$incoming" "$shared" 2>/dev/null || refuse rights "could not make $state and $shared"
    strategy_folders
    chmod 0700 "$incoming"
    [ "$(id -u)" != 0 ] || [ -z "$user" ] || chown "$user" "$incoming" || refuse rights "could not give $incoming to $user"
}

receive() { # sets need=build unless the right build is here
    need=''
    [ ! -e "$part" ] || mv -f "$part" "$build"
    # What was moved is judged in our own folder: its sender can no longer put another thing in its place.
    if [ -f "$build" ] && [ ! -L "$build" ]; then
        [ "$(id -u)" != 0 ] || chown 0:0 "$build"
        chmod 0600 "$build"
        if printf '%s  %s\n' "$sha256" "$build" | sha256sum -c >/dev/null 2>&1; then return; fi
        detail="the build that was here is not sha256 $sha256"
    fi
    need=build
    forget_build
}

forget_build() {
    rm -f "$state"/*.build "$incoming"/*.part
}

ask_for_the_build() {
    [ "$sent" = 0 ] || refuse receive "${detail:-the build did not arrive}"
    read_free_space
    answer unchanged receive "$detail"
}
