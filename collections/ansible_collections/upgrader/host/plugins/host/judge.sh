# Judging, before the act. Nothing is changed here.

# Sets `would` to what apply would end as, and step and detail to the reason. Nothing is changed.
judge() {
    would=failed
    if ! strategy_judge; then
        : # step and detail are set
    elif [ -n "$open_key" ] && [ "$open_key" != "$key" ] && ! is_overdue; then
        step=pending detail="change $open_key is not confirmed yet"
    elif [ "$current" = "$version" ] && [ "$digest" != "$sha256" ]; then
        step=base detail="version $version is installed from another build (sha256 ${digest:-unknown})"
    elif resumes; then
        would=upgraded step=switch detail='goes on where it stopped'
    elif [ "$current" = "$version" ]; then
        running=false step=service detail="version $version is installed but its service does not run"
        if is_running "$current"; then running=true would=unchanged step=probe detail=''; fi
    elif ! may_follow "$current"; then
        step=base detail="expected version $(expected_versions), found ${current:-none}"
    elif missing=$(missing_programs) && [ -n "$missing" ]; then
        step=tools detail="not found on this host:$missing"
    elif ! may_write "$state" || ! may_write "$root/$system"; then
        step=rights detail="$state and $root/$system must be writable for $(id -un)"
    elif read_free_space && [ "$free_kb" -lt $((size / 1024 + SPARE_KB)) ]; then
        step=space detail="$((size / 1024 + SPARE_KB)) KB are needed below $state, $free_kb KB are free"
    else
        would=upgraded step=probe detail=''
    fi
}

may_follow() { # version: it is the one that was planned for; `*` stands for any that the release may follow
    [ "$base" = '*' ] || { [ "$1" = "$base" ] && return; return 1; }
    [ -n "$follows" ] || return 0
    while IFS= read -r pattern; do
        # shellcheck disable=SC2254 # a pattern is what it is
        case $1 in $pattern) return 0 ;; esac
    done <<PATTERNS
${follows%"$NEWLINE"}
PATTERNS
    return 1
}

expected_versions() {
    if [ "$base" = '*' ]; then plain "$follows"; else printf '%s' "${base:-none}"; fi
}

# This key was here before, has switched, is neither confirmed nor overdue: go on from there.
resumes() {
    [ "$open_key" = "$key" ] && [ "$current" = "$version" ] && ! is_overdue
}

missing_programs() {
    for program in awk cat chmod cp date df dirname id ln ls mkdir mv readlink rm sed setsid sha256sum sleep sync tail tr wc $(strategy_programs); do
        command -v "$program" >/dev/null || printf ' %s' "$program"
    done
    [ "$manager" != systemd ] || command -v systemctl >/dev/null || printf ' systemctl'
    [ "$manager" != systemd ] || command -v systemd-run >/dev/null || printf ' systemd-run'
}

may_write() { # folder: it, or the nearest folder above it that exists
    nearest_folder "$1"
    [ -w "$near" ]
}

nearest_folder() { # full path: sets near to it, or to the nearest folder above it that exists
    near=$1
    while ! [ -d "$near" ]; do
        near=${near%/*}
        near=${near:-/}
    done
}

read_free_space() {
    nearest_folder "$state"
    free_kb=$(free_kb_of "$near")
    free_kb=${free_kb:-0}
}

free_kb_of() { # folder
    df -Pk "$1" | { IFS= read -r _ && read -r _ _ _ kb _ && printf '%s' "$kb"; }
}
