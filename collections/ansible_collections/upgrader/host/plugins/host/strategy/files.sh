# The strategy `files`: a partial upgrade of a system that upgrader installed from an archive. The installed version's folder is
# copied, the new files go into the copy, and the copy becomes a version of its own: the link switches to a whole version, and
# the replaced files lie where they were. What is not said here is as in the strategy `archive`.

strategy_places() {
    versions=$root/$system/versions
    link=$root/$system/current
    home=$versions/$version
    whole=$versions/.$version.$key.new
    set=$versions/.$version.$key.set.new
    # The unit is the one that the archive brought, unless the release names another.
    [ -n "$unit" ] || unit=$(notes unit "$home/.upgrader")
    [ -n "$unit" ] || unit=$(notes unit "$link/.upgrader")
}

strategy_input() { # name value
    [ "$1" = replaces ] && take_replaced "$2"
}

strategy_check() { :; }

strategy_programs() { printf 'tar du find sort'; }

strategy_judge() { # false, with step and detail, where it cannot begin
    step=base
    if [ -e "$link" ] && ! [ -L "$link" ]; then
        detail="$link is not a link: this system was not installed by upgrader"
        return 1
    fi
    if [ -z "$current" ] || ! [ -d "$versions/$current" ]; then
        detail="a partial upgrade needs a version that upgrader installed from an archive; found ${current:-none}"
        return 1
    fi
}

strategy_prepare() { # all that can be done while the old version serves
    before=$versions/$current
    unpack_set
    check_replaced "$before" "$before/.upgrader.files" || lose replaced "$detail"
    configs=$({ notes config "$before/.upgrader" && printf '%s' "$configs"; } | sort -u)$NEWLINE
    copy_version
    fill_templates || lose config "$detail"
    check_service_files
    put_beside
}

copy_version() {
    unpacked=$whole
    rm -rf "$unpacked"
    has_room "$(du -sk "$before" | tr '\t' ' ' | cut -d' ' -f1)" "$versions" || lose space "$detail"
    cp -a "$before" "$unpacked" 2>"$output" || lose space "$(last_words)"
    known_files "$before/.upgrader.files" >"$unpacked/.upgrader.files.new"
    while IFS= read -r path; do
        { mkdir -p "$(dirname "$unpacked/$path")" && mv -f "$set/$path" "$unpacked/$path"; } || lose unpack "could not put $path into place"
    done <"$paths"
    mv -f "$unpacked/.upgrader.files.new" "$unpacked/.upgrader.files"
    note_set || lose space 'disk full'
    rm -rf "$set" "$paths"
}

note_set() {
    {
        printf 'sha256=%s\nkey=%s\nversion=%s\nunit=%s\n' "$sha256" "$key" "$version" "$unit"
        printf '%s' "$configs" | sed -n 's/^..*/config=&/p'
    } >"$unpacked/.upgrader.new" && mv -f "$unpacked/.upgrader.new" "$unpacked/.upgrader"
}
