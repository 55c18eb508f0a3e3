# The strategy `files` for a folder of the host that nobody versions: each file is replaced by one rename, the replaced ones
# are kept. The version is what the version file says.
#
#   STATE/SYSTEM/known        the digests of the files that we put there, as `SHA256 PATH`
#   STATE/SYSTEM/installed    the version and the SHA-256 of its build
#   STATE/SYSTEM/kept.KEY/    before/ holds the replaced files; added, folders and renewed are lists

place='' version_file=''

strategy_input() { # name value
    case $1 in
        target) place=$2 ;;
        version_file) version_file=$2 ;;
        replaces) take_replaced "$2" ;;
        *) return 1 ;;
    esac
}

strategy_check() {
    case $place in /../* | */../* | */.. | / | *[\"\\%\$]*) refuse input "not a plain folder: $place" ;; /?*) ;; *) refuse input "not a full path: $place" ;; esac
    is_inside "$version_file" || refuse input "leads outside: $version_file"
}

strategy_places() {
    home=$place
    set=$state/$system/set
    stops_first=yes
}

place_kept() { # of this key; the new files lie beside those they replace, under their names and $beside
    kept=$state/kept.$key
    beside=.upgrader-$key
}

strategy_programs() { printf 'tar find sort stat chown cut du tail'; }

strategy_home() { printf '%s' "$place"; }

strategy_data() { strategy_home; }

strategy_read() {
    current='' digest=''
    if [ -r "$place/$version_file" ]; then IFS=' ' read -r current _ <"$place/$version_file"; fi
    is_word "$current" || current=''
    [ -r "$state/installed" ] || return 0
    IFS=' ' read -r put_in digest <"$state/installed"
    [ "$put_in" = "$current" ] || digest=''
}

strategy_judge() { # false, with step and detail, where it cannot begin
    step=base detail="there is no folder $place on this host"
    [ -d "$place" ] || return 1
    step=rights detail="$place must be writable for $(id -un)"
    [ -w "$place" ]
}

strategy_folders() { :; }

# --- before the switch

strategy_prepare() {
    place_kept
    rm -rf "$kept" "$set"
    unpack_set
    printf '%s' "$configs" | sed 's/^[^|]*|//' >"$state/filled.paths"
    check_replaced "$place" "$state/known" || lose replaced "$detail"
    [ -f "$set/$version_file" ] || lose replaced "the version file $version_file is not in the build"
    bring_templates || lose config "$detail"
    has_room "$(du -sk "$set" | tr '\t' ' ' | cut -d' ' -f1)" "$place" || lose space "$detail"
    mkdir -p "$kept/before" || lose space "could not make $kept"
    { : >"$kept/added" && : >"$kept/folders"; } || lose space 'disk full'
    known_files "$state/known" >"$kept/known" || lose space 'disk full'
    [ ! -r "$state/installed" ] || cp "$state/installed" "$kept/installed" || lose space 'disk full'
    cp "$paths" "$kept/renewed" || lose space 'disk full'
    while IFS= read -r path; do
        keep_and_lay_beside || lose space "$path could not be kept, or laid beside: $(last_words)"
    done <"$paths"
    sync -f "$place" 2>/dev/null || sync
    rm -rf "$set" "$paths" "$state/filled.paths"
}

bring_templates() { # what is made from a template is one of the files that are replaced, whatever it is now
    while IFS='|' read -r template made; do
        [ -n "$template" ] || continue
        mkdir -p "$(dirname "$set/$template")" "$(dirname "$set/$made")"
        [ -f "$set/$template" ] || cp -p "$place/$template" "$set/$template" 2>"$output" || { detail=$(last_words) && return 1; }
    done <<CONFIGS
$configs
CONFIGS
    unpacked=$set
    fill_templates || return 1
    cat "$state/filled.paths" >>"$paths"
    sort -u "$paths" >"$paths.new" && mv -f "$paths.new" "$paths"
}

keep_and_lay_beside() { # the file at $path
    owner=$(stat -c %u:%g "$place")
    folder=$(dirname "$path")
    if [ -e "$place/$path" ]; then
        owner=$(stat -c %u:%g "$place/$path")
        mkdir -p "$kept/before/$folder" && cp -p "$place/$path" "$kept/before/$path" || return 1
    else
        printf '%s\n' "$path" >>"$kept/added"
        note_new_folders "$folder"
    fi 2>"$output"
    mkdir -p "$place/$folder" && cp -p "$set/$path" "$place/$path$beside" && chown "$owner" "$place/$path$beside" 2>"$output"
}

note_new_folders() { # path: it and those above it that are not there yet, the innermost first
    above=$1
    while [ "$above" != . ] && ! [ -d "$place/$above" ]; do
        is_in_list "$above" "$kept/folders" || printf '%s\n' "$above" >>"$kept/folders"
        above=$(dirname "$above")
    done
}

is_in_list() { # text file
    while IFS= read -r listed; do
        [ "$listed" != "$1" ] || return 0
    done <"$2"
    return 1
}

strategy_clean() {
    place_kept
    [ -z "$key_switched" ] || return 0
    remove_beside
    rm -rf "$set" "$kept" "$state/paths" "$state/filled.paths"
}

remove_beside() { # what a run left that never switched, and the folders that it made
    [ -r "$kept/renewed" ] || return 0
    while IFS= read -r path; do rm -f "$place/$path$beside"; done <"$kept/renewed"
    rmdir_new
}

rmdir_new() { # those that are empty again
    [ -r "$kept/folders" ] || return 0
    sort -r "$kept/folders" | while IFS= read -r path; do
        [ ! -d "$place/$path" ] || rmdir "$place/$path" 2>/dev/null
    done
    return 0
}

# --- the switch, and the way back

strategy_switch() {
    place_kept
    : >"$output"
    while IFS= read -r path; do
        [ ! -e "$place/$path$beside" ] || mv -f "$place/$path$beside" "$place/$path" 2>"$output" || return 1
    done <"$kept/renewed"
    printf '%s %s\n' "$version" "$sha256" >"$state/installed" || return 1
    sync -f "$place" 2>/dev/null || sync
    strategy_read
    [ "$current" = "$version" ] || { echo "$version_file should say $version, and says ${current:-nothing}" >"$output" && return 1; }
}

strategy_back() {
    place_kept
    remove_beside
    [ -n "$was_started" ] || return 0
    strategy_can_go_back || { echo "$detail" >"$output" && return 1; }
    : >"$output"
    while IFS= read -r path; do
        if is_in_list "$path" "$kept/added"; then
            rm -f "$place/$path" 2>"$output" || return 1
        else
            { cp -p "$kept/before/$path" "$place/$path$beside" && mv -f "$place/$path$beside" "$place/$path"; } 2>"$output" || return 1
        fi
    done <"$kept/renewed"
    rmdir_new
    if [ -e "$kept/installed" ]; then cp "$kept/installed" "$state/installed"; else rm -f "$state/installed"; fi
    sync -f "$place" 2>/dev/null || sync
}

strategy_can_go_back() { # false, with detail
    place_kept
    [ -r "$kept/renewed" ] || { detail="the files that $to replaced are no longer kept" && return 1; }
}

strategy_prune() {
    place_kept
    [ ! -r "$kept/known" ] || cp "$kept/known" "$state/known"
    # shellcheck disable=SC2012 # names of our own, and ls alone sorts by time
    ls -1td "$state"/kept.* | tail -n +$((keep + 1)) | while IFS= read -r old; do
        [ "$old" = "$kept" ] || rm -rf "$old"
    done
}
