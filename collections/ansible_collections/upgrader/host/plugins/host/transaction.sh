#!/bin/sh
# The host transaction: takes one system on this host from one version to another, or back again.
#
#   sh transaction.sh VERB < inputs         the protocol is described in the README of this collection
#
# POSIX sh; runs under dash and busybox ash; needs no Python. It is either a file, or is sent as text over ssh and run by
# `eval`. Everything is a function and only the last line, which the sender adds, calls one: a text that was cut short on
# its way does nothing. Inputs end with the line `end=inputs` for the same reason.
#
# What happened is written to the host's own journal before it is done, and what is true is read back from there.

set -u
LOCALE=${LC_ALL:-}
LC_ALL=C # bytes are bytes: what a vendor's program says need not be UTF-8
export LC_ALL
umask 022

FORMAT='upgrader.host/1'
SPARE_KB=16384 # left free on a disk after anything that we put there
NEWLINE='
'

# ---------------------------------------------------------------------------------------------------- the front door

main() {
    verb=${1:-}
    # A lost link ends no transaction: the handlers do nothing, and programs that we start get the default back.
    trap : HUP INT PIPE TERM
    empty_inputs
    if [ "$verb" = expire ]; then read_inputs <"$2"; else read_inputs; fi
    tick
    IFS= read -r boot </proc/sys/kernel/random/boot_id
    versions=$root/$system/versions
    shared=$root/$system/shared
    link=$root/$system/current
    home=$versions/$version
    state=$state/$system
    journal=$state/journal
    incoming=$state/incoming
    part=$incoming/$sha256.part
    build=$state/$sha256.build
    [ ! -w "$state" ] || output=$state/output.$$
    case $verb in
        probe) probe ;;
        stage) stage ;;
        apply) apply ;;
        confirm) confirm ;;
        revert) revert ;;
        status) status ;;
        expire) expire ;;
        *) refuse input "unknown verb $verb" ;;
    esac
}

empty_inputs() {
    format='' key='' system='' version='' file='' sha256='' size=0 base='' state='' root='' manager=systemd
    service='' unit='' script='' settle=2 start_seconds=60 health='' health_seconds=20 keep=2 confirm_seconds=120
    wait_seconds=20 nap=0.2 user='' sent=0 follows='' configs='' parameters='' complete=''
    inputs='' step=input detail='' from='' to='' current='' digest='' need='' would='' changed=false
    running='' healthy='' pending='' free_kb='' downtime_ms='' stopped_at='' unpack_ms='' health_ms='' lock=''
    journal='' link='' output=/dev/null
    key_fact='' key_from='' key_to='' key_switched='' over=''
    open_key='' open_fact='' open_from='' open_to='' open_boot='' open_deadline=0
}

read_inputs() {
    while IFS= read -r line; do
        value=${line#*=}
        inputs=$inputs$line$NEWLINE
        case ${line%%=*} in
            format) format=$value ;;
            key) key=$value ;;
            system) system=$value ;;
            version) version=$value ;;
            file) file=$value ;;
            sha256) sha256=$value ;;
            size) size=$value ;;
            base) base=$value ;;
            follows) follows=$follows$value$NEWLINE ;;
            root) root=$value ;;
            state) state=$value ;;
            manager) manager=$value ;;
            service) service=$value ;;
            unit) unit=$value ;;
            script) script=$value ;;
            settle_seconds) settle=$value ;;
            start_seconds) start_seconds=$value ;;
            health) health=$value ;;
            health_seconds) health_seconds=$value ;;
            keep) keep=$value ;;
            confirm_seconds) confirm_seconds=$value ;;
            wait_seconds) wait_seconds=$value ;;
            user) user=$value ;;
            sent) sent=$value ;;
            config.from) configs=$configs$value ;;
            config.to) configs="$configs|$value$NEWLINE" ;;
            parameter.*) parameters=$parameters${line#parameter.}$NEWLINE ;;
            end) complete=$value ;;
            *) refuse input "unknown line: $line" ;;
        esac
    done
    check_inputs
}

check_inputs() {
    [ "$complete" = inputs ] || refuse input 'the inputs were cut short'
    [ "$format" = "$FORMAT" ] || refuse input "expected inputs of $FORMAT, found $format"
    for word in "$system" "$version" "$key"; do
        is_word "$word" || refuse input "malformed: $word"
    done
    case $base in '*') ;; *[!A-Za-z0-9._+~-]*) refuse input "malformed: $base" ;; esac
    case $service$user in *[!A-Za-z0-9._@-]*) refuse input "malformed: $service or $user" ;; esac
    case $sha256 in *[!0-9a-f]* | '') refuse input 'sha256 is malformed' ;; esac
    for path in "$unit" "$script"; do
        is_inside "$path" || refuse input "leads outside its version: $path"
    done
    for number in "$size" "$settle" "$start_seconds" "$health_seconds" "$keep" "$confirm_seconds" "$wait_seconds"; do
        case $number in *[!0-9]* | '' | ????????????????*) refuse input "not a number: $number" ;; esac
    done
    for folder in "$root" "$state"; do
        # The last group would mean something in a systemd unit file.
        case $folder in /../* | */../* | */.. | *[\"\\%\$]*) refuse input "not a plain folder: $folder" ;; /?*) ;; *) refuse input "not a full path: $folder" ;; esac
    done
    case $manager in
        systemd) [ -n "$service" ] && [ -n "$unit" ] || refuse input 'systemd needs a service name and a unit file' ;;
        script) [ -n "$script" ] || refuse input 'no service script is named' ;;
        *) refuse input "unknown service manager $manager" ;;
    esac
}

is_word() { # text: may be part of a file name as it is
    case $1 in '' | [.-]* | *[!A-Za-z0-9._+~-]*) return 1 ;; esac
}

is_inside() { # path: relative, and stays below where it starts
    case /$1/ in //?* | */../*) return 1 ;; esac
}

# --------------------------------------------------------------------------------------------------------- the verbs

probe() { # changes nothing: what is here, and what `apply` would do
    read_journal
    read_current
    read_free_space
    judge
    answer unchanged "$step" "$detail"
}

status() { # changes nothing: what is here, whether it runs and is healthy, and how far this key came
    read_journal
    read_current
    if is_running "$current"; then running=true; else running=false; fi
    if [ -n "$current" ] && is_healthy "$current"; then
        healthy=true
    else
        healthy=false detail=$(last_words)
    fi
    answer unchanged status "$detail"
}

stage() { # keep the build that was sent, if it is the one that was meant
    take_lock
    prepare_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    answer unchanged receive ''
}

apply() { # from the version that runs to the one that is meant, or as it was
    take_lock
    read_journal
    settle_what_is_open
    read_current
    judge
    case $would in
        unchanged) from=$key_from && answer unchanged probe "$detail" ;;
        failed) refuse "$step" "$detail" ;;
    esac
    if resumes; then go_on; else begin; fi
    settle_and_check
    record healthy "$(deadline)" || give_way journal 'the journal of this host could not be written'
    answer upgraded healthy ''
}

begin() {
    prepare_folders
    receive
    [ -z "$need" ] || ask_for_the_build
    from=$current to=$version
    record began "$sha256" || refuse journal 'the journal of this host could not be written'
    unpack
    configure
    put_beside
    arm
    switch
}

go_on() { # where an earlier run of this key was stopped, after its switch
    from=$open_from to=$version changed=true
    if [ "$open_fact" != healthy ]; then
        stop_service "$version" || give_way stop "$(last_words)"
        switch
    fi
}

confirm() { # the controller has seen the result: keep it
    take_lock
    read_journal
    read_current
    from=$key_from to=$key_to
    case $key_fact in
        confirmed) ;;
        healthy) keep_it ;;
        taken-back) answer rolled-back confirm 'this host had taken itself back: the change was not confirmed in time' ;;
        *) refuse confirm "nothing to confirm: this change is ${key_fact:-unknown} here" ;;
    esac
    disarm
    forget_build
    prune
    answer upgraded confirmed ''
}

keep_it() {
    [ "$current" = "$version" ] || refuse confirm "expected version $version, found ${current:-none}"
    if is_overdue; then
        take_back 'confirmed too late' || answer failed "$step" "$detail"
        answer rolled-back confirm 'the confirmation came too late'
    fi
    record confirmed || refuse confirm 'the journal of this host could not be written'
    changed=true
}

revert() { # take back what this key did here
    take_lock
    read_journal
    read_current
    if [ -z "$key_switched" ]; then
        forget_unfinished
        answer unchanged revert 'this change did nothing here, or it is already taken back'
    fi
    [ -z "$over" ] || refuse revert "a later change came on top:$over"
    from=$key_from to=$key_to
    case $current in
        "$from" | "$to") ;;
        *) refuse revert "expected version $to, found ${current:-none}" ;;
    esac
    [ -z "$from" ] || [ -d "$versions/$from" ] || refuse revert "version $from is no longer on this host"
    take_back 'asked for' || answer failed "$step" "$detail"
    answer rolled-back revert ''
}

expire() { # the dead-man: sleep until the deadline, then take back what was not confirmed
    wait_seconds=86400 nap=1
    while :; do
        trap - TERM # asleep it may be stopped at once
        read_journal
        [ "$open_key" = "$key" ] || break
        if is_overdue; then
            take_lock # waits while `apply` is at work, which may write a later deadline
            trap : TERM
            read_journal
            if [ "$open_key" = "$key" ] && is_overdue; then
                from=$open_from to=$open_to
                take_back 'not confirmed in time'
                break
            fi
            release_lock
        else
            sleep "$(((open_deadline - clock + 99) / 100))"
        fi
    done
    forget_boot_unit
    answer unchanged expire ''
}

# --------------------------------------------------------------------------------------------- judging, before the act

# Sets `would` to what apply would end as, and step and detail to the reason. Nothing is changed.
judge() {
    would=failed
    if [ -e "$link" ] && ! [ -L "$link" ]; then
        step=base detail="$link is not a link: this system was not installed by upgrader"
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
    elif [ -n "$current" ] && ! [ -d "$versions/$current" ]; then
        step=base detail="$link names version $current, which is not on this host"
    elif missing=$(missing_programs) && [ -n "$missing" ]; then
        step=tools detail="not found on this host:$missing"
    elif ! may_write "$state" || ! may_write "$versions"; then
        step=rights detail="$state and $versions must be writable for $(id -un)"
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
    for program in awk cat chmod cp date df dirname id ln ls mkdir mv readlink rm sed setsid sha256sum sleep sync tail tar tr; do
        command -v "$program" >/dev/null || printf ' %s' "$program"
    done
    [ "$manager" = script ] || command -v systemctl >/dev/null || printf ' systemctl'
    [ "$manager" = script ] || command -v systemd-run >/dev/null || printf ' systemd-run'
}

may_write() { # folder: it, or the nearest folder above it that exists
    near=$1
    while ! [ -d "$near" ]; do near=$(dirname "$near"); done
    [ -w "$near" ]
}

read_free_space() {
    near=$state
    while ! [ -d "$near" ]; do near=$(dirname "$near"); done
    free_kb=$(free_kb_of "$near")
    free_kb=${free_kb:-0}
}

free_kb_of() { # folder
    df -Pk "$1" | { IFS= read -r _ && read -r _ _ _ kb _ && printf '%s' "$kb"; }
}

read_current() {
    current='' digest=''
    [ -L "$link" ] || return 0
    current=$(readlink "$link")
    current=${current#versions/}
    read_digest "$current"
}

read_digest() { # version
    digest=''
    [ -r "$versions/$1/.upgrader" ] || return 0
    while IFS='=' read -r name value; do
        [ "$name" != sha256 ] || digest=$value
    done <"$versions/$1/.upgrader"
}

# --------------------------------------------------------------------------------------------- before the switch

prepare_folders() {
    mkdir -p "$state" "$incoming" "$versions" "$shared" 2>/dev/null || refuse rights "could not make $state and $versions"
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

unpack() {
    tick
    started=$clock
    unpacked=$versions/.$version.$key.new
    listing=$state/listing
    rm -rf "$unpacked"
    mkdir "$unpacked" || lose unpack "could not make $unpacked"
    untar -t -v >"$listing" 2>"$output" || lose unpack "the build is not a whole archive: $(last_words)"
    # busybox makes such names harmless before it lists them, and only says so.
    case $(last_words) in *emoving\ leading*) lose unpack "leads outside: $(last_words)" ;; esac
    check_listing
    untar -x -o -C "$unpacked" >"$output" 2>&1 || lose unpack "$(last_words)"
    rm -f "$listing"
    printf 'sha256=%s\nkey=%s\nversion=%s\n' "$sha256" "$key" "$version" >"$unpacked/.upgrader" || lose unpack 'disk full'
    tick
    unpack_ms=$(((clock - started) * 10))
}

untar() { # options
    case $file in
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
    free=$(free_kb_of "$versions")
    [ "$free" -ge $((kilobytes + SPARE_KB)) ] || lose space "$((kilobytes + SPARE_KB)) KB are needed below $versions, $free KB are free"
}

configure() { # fill the vendor's templates; @name@ without a value is a failure
    values=$state/values
    (umask 077 && printf '%sroot=%s\nhome=%s\nshared=%s\nversion=%s\nsystem=%s\n' "$parameters" \
        "$root/$system" "$home" "$shared" "$version" "$system" >"$values") || lose config 'the parameters could not be written'
    printf '%s' "$configs" >"$state/configs"
    while IFS='|' read -r template target; do
        configure_one || lose config "$detail"
    done <"$state/configs"
    rm -f "$values" "$state/configs"
    if [ "$manager" = systemd ]; then
        [ -f "$unpacked/$unit" ] || lose config "the unit file $unit is not in the build"
    else
        [ -x "$unpacked/$script" ] || lose config "the service script $script is not in the build, or is no program"
    fi
}

configure_one() {
    detail="$template or $target leads outside its version"
    is_inside "$template" || return 1
    is_inside "$target" || return 1
    [ -f "$unpacked/$template" ] || { detail="$template is not in the build"; return 1; }
    mkdir -p "$(dirname "$unpacked/$target")"
    [ "$template" = "$target" ] || cp -p "$unpacked/$template" "$unpacked/$target" || { detail="$target could not be written"; return 1; }
    awk '
        FNR == NR { at = index($0, "="); value[substr($0, 1, at - 1)] = substr($0, at + 1); next }
        {
            rest = $0; line = ""
            while (match(rest, /@[A-Za-z][A-Za-z0-9_]*@/)) {
                name = substr(rest, RSTART + 1, RLENGTH - 2)
                if (!(name in value)) { print FNR ": @" name "@ has no value" >"/dev/stderr"; bad = 1; exit 3 }
                line = line substr(rest, 1, RSTART - 1) value[name]
                rest = substr(rest, RSTART + RLENGTH)
            }
            print line rest
        }' "$values" "$unpacked/$template" >"$state/filled" 2>"$output" || { detail="$template:$(last_words)"; return 1; }
    cat "$state/filled" >"$unpacked/$target" || { detail="$target could not be written"; return 1; }
    rm -f "$state/filled"
}

put_beside() { # the finished folder gets its name at once; a half one never has it
    sync -f "$unpacked" 2>/dev/null || sync
    if [ -e "$home" ]; then
        rm -rf "$versions/.$version.old"
        mv -T "$home" "$versions/.$version.old" || lose unpack "could not move the earlier $version away"
    fi
    mv -T "$unpacked" "$home" || lose unpack "could not name $home"
    rm -rf "$versions/.$version.old"
}

# ------------------------------------------------------------------------------------------------- the dead-man

deadline() { # in hundredths of a second since boot
    tick
    printf '%s' $((clock + confirm_seconds * 100))
}

# From here on the host goes back by itself: when the deadline passes, or when it boots and nobody has confirmed.
arm() {
    keep_unit
    keep_inputs || lose arm 'the dead-man could not be written'
    record armed "$(deadline)" || lose journal 'the journal of this host could not be written'
    case $manager in
        systemd) arm_systemd ;;
        *)
            setsid sh "$state/transaction.sh" expire "$state/armed" </dev/null >>"$state/deadman.log" 2>&1 &
            printf '%s.%s.%s\n' $! "$(start_of $!)" "$boot" >"$state/deadman"
            ;;
    esac || lose arm "the dead-man could not be started: $(last_words)"
}

keep_inputs() {
    printf '%s\n' "$(own_text)" 'main "$@"' >"$state/transaction.sh.new" && (umask 077 && printf '%s' "$inputs" >"$state/armed") &&
        mv -f "$state/transaction.sh.new" "$state/transaction.sh" && sync "$state/armed" "$state/transaction.sh"
}

own_text() { # this script, as it was sent or as it is on disk, without the line that calls it
    if [ -n "${upgrader_script:-}" ]; then printf '%s\n' "$upgrader_script"; else cat "$0"; fi | sed '/^#:call$/,$d'
}

boot_unit() { printf '/etc/systemd/system/upgrader-%s.service' "$system"; }

arm_systemd() {
    wants=/etc/systemd/system/multi-user.target.wants
    cat >"$(boot_unit)" <<UNIT && mkdir -p "$wants" && ln -sf "$(boot_unit)" "$wants/" || return 1
[Unit]
Description=upgrader takes $system back, since its upgrade was not confirmed before this host went down
After=$service.service network.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sh "$state/transaction.sh" expire "$state/armed"
[Install]
WantedBy=multi-user.target
UNIT
    end_deadman_unit
    systemd-run --quiet --collect --unit="upgrader-$system-deadman" /bin/sh "$state/transaction.sh" expire "$state/armed" >"$output" 2>&1
}

disarm() { # the sleeping dead-man reads the journal when it wakes; ending it now is only tidier
    forget_boot_unit
    [ "$verb" != expire ] || return 0
    if [ "$manager" = systemd ]; then
        end_deadman_unit
    elif [ -s "$state/deadman" ]; then
        IFS= read -r sleeper <"$state/deadman"
        is_gone "$sleeper" || kill -KILL "-${sleeper%%.*}" 2>/dev/null
        rm -f "$state/deadman"
    fi
    return 0
}

# We hold the lock, so the dead-man only sleeps or waits for it: it is killed, since asking it to stop would wait for us.
end_deadman_unit() {
    systemctl kill --signal=KILL "upgrader-$system-deadman.service" 2>/dev/null
    systemctl stop "upgrader-$system-deadman.service" 2>/dev/null
    return 0
}

forget_boot_unit() {
    [ "$manager" = systemd ] || return 0
    rm -f "/etc/systemd/system/multi-user.target.wants/upgrader-$system.service" "$(boot_unit)"
}

is_overdue() { # the open transaction ran out of time, or this host booted since, or going back was not finished
    [ "$open_boot" != "$boot" ] || [ "$open_fact" = undo-started ] || { tick; [ "$clock" -ge "$open_deadline" ]; }
}

# What another run left open is ended first: its own goes on in `apply` if it can, all that is overdue is taken back.
settle_what_is_open() {
    [ -n "$open_key" ] || return 0
    read_current
    if resumes; then return 0; fi
    if [ "$open_key" != "$key" ] && ! is_overdue; then return 0; fi # judge refuses it
    mine=$key
    key=$open_key from=$open_from to=$open_to
    take_back 'found unfinished' || refuse pending "change $key could not be taken back: $detail"
    key=$mine from='' to='' downtime_ms='' changed=false
    read_journal
}

forget_unfinished() { # what a run left that never switched
    rm -rf "$versions"/.*.new "$versions"/.*.old
    if [ "$open_key" = "$key" ]; then
        from=$open_from to=$open_to
        take_back 'never switched' || answer failed "$step" "$detail"
    fi
}

# --------------------------------------------------------------------------------------- the switch, and the way back

switch() {
    record switch-started || lose journal 'the journal of this host could not be written'
    changed=true
    install_unit "$home/$unit" || give_way service "$(last_words)"
    tick
    stopped_at=$clock
    stop_service "$from" || give_way stop "$(last_words)"
    point_current "$version" || give_way switch "the link $link could not be renamed"
    start_service "$version" || give_way restart "$(last_words)"
    count_downtime
}

count_downtime() { # from the stop to the end of the start command; the watching client knows better
    tick
    [ -z "$stopped_at" ] || downtime_ms=$(((clock - stopped_at) * 10))
}

settle_and_check() {
    read_main_process
    sleep "$settle"
    stays_up "$version" || give_way settle "the service did not stay up for $settle s"
    tick
    started=$clock
    is_healthy "$version" || give_way health "$(last_words)"
    tick
    health_ms=$(((clock - started) * 10))
    stays_up "$version" || give_way health 'the service ended while its health was checked'
}

stays_up() { # version
    is_running "$1" && [ "$main_process" = "$(show_main_process)" ]
}

give_way() { # step detail: what has begun fails; the host goes back at once
    failed_at=$1 reason=$2
    take_back "$failed_at: $reason" || answer failed "$failed_at" "$reason; then the way back failed at $step: $detail"
    answer rolled-back "$failed_at" "$reason"
}

# Undo what the open transaction started: link, unit file and service are again as before. Safe to call again.
take_back() { # reason
    record undo-started "$1"
    changed=true
    was_started=$(started_switching)
    if [ -n "$was_started" ]; then
        tick
        stopped_at=${stopped_at:-$clock}
        stop_service "$to" && stop_service "$from" || undo_fails stop "$(last_words)" || return 1
    fi
    point_current "$from" || undo_fails switch "the link $link could not be renamed" || return 1
    restore_unit || undo_fails service "$(last_words)" || return 1
    if [ -n "$was_started" ] && [ -n "$from" ]; then
        start_service "$from" || undo_fails restart "$(last_words)" || return 1
        count_downtime
        read_main_process
        sleep "$settle"
        stays_up "$from" || undo_fails settle "version $from did not stay up" || return 1
        is_healthy "$from" || undo_fails health "version $from: $(last_words)" || return 1
    fi
    record taken-back
    disarm
    forget_build
}

undo_fails() { # step detail: a person is needed; always false
    step=$1 detail=$2
    record undo-failed "$step: $detail"
    disarm
    return 1
}

started_switching() { # `yes` if the transaction of this key came as far as touching the service
    (read_journal && printf '%s' "$key_switched")
}

point_current() { # version, or nothing: one rename, so that there is no moment without a version
    if [ -z "$1" ]; then
        rm -f "$link"
    else
        rm -f "$link.new"
        ln -s "versions/$1" "$link.new" && mv -fT "$link.new" "$link"
    fi && { sync "$root/$system" 2>/dev/null || sync; }
}

# ------------------------------------------------------------------------------------------------- the service

stop_service() { # version
    [ -n "$1" ] || return 0
    if [ "$manager" = systemd ]; then
        # A restart stops the old process too, and is shorter; stopping alone is for a system that goes away.
        [ -z "$from" ] || return 0
        run_limited "$start_seconds" / systemctl disable --now "$service"
        ! systemctl is-active --quiet "$service"
        return
    fi
    [ -x "$versions/$1/$script" ] || return 0
    run_limited "$start_seconds" "$versions/$1" "$versions/$1/$script" stop
    if is_running "$1"; then echo "version $1 did not stop" >>"$output"; return 1; fi
}

start_service() { # version
    if [ "$manager" = systemd ]; then
        systemctl reset-failed "$service" 2>/dev/null
        run_limited "$start_seconds" / systemctl restart "$service"
    else
        run_limited "$start_seconds" "$versions/$1" "$versions/$1/$script" start
    fi
}

is_running() { # version
    [ -n "$1" ] || return 1
    if [ "$manager" = systemd ]; then
        systemctl is-active --quiet "$service"
    else
        [ -x "$versions/$1/$script" ] && run_limited "$start_seconds" "$versions/$1" "$versions/$1/$script" status
    fi
}

read_main_process() { main_process=$(show_main_process); }

show_main_process() {
    [ "$manager" != systemd ] || systemctl show --property MainPID,NRestarts "$service"
}

is_healthy() { # version; one that never had this check counts as healthy if it runs
    [ -n "$health" ] || return 0
    [ -e "$versions/$1/${health%% *}" ] || [ "$1" = "$version" ] || return 0
    run_limited "$health_seconds" "$versions/$1" sh -c "$health"
}

installed_unit() { printf '/etc/systemd/system/%s.service' "$service"; }

install_unit() { # file: before the switch, so that only the restart is downtime
    [ "$manager" = systemd ] || return 0
    : >"$output"
    [ -f "$1" ] || { echo "there is no unit file $1" >"$output"; return 1; }
    cp "$1" "$(installed_unit).new" && mv -f "$(installed_unit).new" "$(installed_unit)" || return 1
    systemctl daemon-reload >"$output" 2>&1 || return 1
    systemctl is-enabled --quiet "$service" 2>/dev/null || systemctl enable --quiet "$service" >"$output" 2>&1
}

keep_unit() { # the unit file as it is, for the way back; kept once per change
    [ "$manager" = systemd ] || return 0
    if [ -f "$(installed_unit)" ]; then cp "$(installed_unit)" "$state/unit.$key"; else rm -f "$state/unit.$key"; fi
}

restore_unit() {
    [ "$manager" = systemd ] || return 0
    : >"$output"
    if [ -f "$state/unit.$key" ]; then
        cp "$state/unit.$key" "$(installed_unit).new" && mv -f "$(installed_unit).new" "$(installed_unit)"
    else
        rm -f "$(installed_unit)"
    fi && systemctl daemon-reload >"$output" 2>&1
}

# Run a command in a session of its own, in a folder, its words in $output. After the limit it is ended with all its
# children, also those that left its process group: they carry its mark in their environment. 124 then.
run_limited() { # seconds folder command...
    limit=$1 folder=$2
    shift 2
    tick
    mark=$$.$clock
    limit_at=$((clock + limit * 100 - 5)) # clocks may differ by a little
    (
        if [ -n "$LOCALE" ]; then LC_ALL=$LOCALE; else unset LC_ALL; fi
        cd "$folder" && UPGRADER_MARK=$mark exec setsid "$@"
    ) </dev/null >"$output" 2>&1 &
    child=$!
    # shellcheck disable=SC2016 # expanded by that shell
    setsid sh -c 'sleep "$1" && { kill -KILL "-$2" || kill -KILL "$2"; }' - "$limit" "$child" </dev/null >/dev/null 2>&1 &
    guard=$!
    while :; do
        wait "$child" 2>/dev/null
        code=$?
        kill -0 "$child" 2>/dev/null || break # a signal to us ends `wait` too early
    done
    kill -KILL "-$guard" 2>/dev/null
    kill -KILL "$guard" 2>/dev/null
    wait "$guard" 2>/dev/null
    tick
    # Killed, and not before its time: that was the guard.
    if [ "$code" -ne 137 ] || [ "$clock" -lt "$limit_at" ]; then return "$code"; fi
    end_marked
    echo "did not end within $limit s and was stopped: $*" >>"$output"
    return 124
}

end_marked() {
    for environment in /proc/[0-9]*/environ; do
        case $({ tr '\0' '|' <"$environment"; } 2>/dev/null) in
            *"UPGRADER_MARK=$mark|"*) ;;
            *) continue ;;
        esac
        pid=${environment#/proc/}
        kill -KILL "${pid%/environ}" 2>/dev/null
    done
}

# ------------------------------------------------------------------------------------------------- after the confirm

prune() { # keep the newest versions; never the one that runs, never the one that a rollback needs
    kept=0
    # shellcheck disable=SC2012 # version names are words, and ls alone sorts by time
    ls -1t "$versions" | while IFS= read -r name; do
        is_word "$name" || continue
        if [ "$name" = "$current" ] || [ "$name" = "$from" ]; then continue; fi
        kept=$((kept + 1))
        [ "$kept" -le "$((keep - 1))" ] || rm -rf "${versions:?}/$name"
    done
    for old in "$state"/unit.*; do
        [ "$old" = "$state/unit.$key" ] || rm -f "$old"
    done
}

# ---------------------------------------------------------------------------------------- the journal, clock and lock

tick() { # sets clock: hundredths of a second since boot, which nobody sets back
    IFS=' ' read -r uptime _ </proc/uptime
    clock=$((${uptime%.*} * 100 + 1${uptime#*.} - 100))
}

# One line a fact, in the past tense, on disk before the next act: time boot clock key fact from to detail.
record() { # fact, detail
    tick
    if [ -s "$journal" ] && [ -n "$(tail -c 1 "$journal")" ]; then echo >>"$journal"; fi # the last line was torn by a power cut
    printf '%s %s %s %s %s %s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$boot" "$clock" "$key" "$1" "${from:--}" "${to:-$version}" \
        "$(plain "${2:-}")" 2>/dev/null >>"$journal" || return 1
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
            confirmed | taken-back | undo-failed | failed) open_key='' ;;
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
# (process ended, or the host booted) is set aside by whoever makes the folder named after it.
take_lock() {
    mkdir -p "$state" 2>/dev/null || refuse rights "could not make $state"
    me=$$.$(start_of $$).$boot
    tries=$((wait_seconds * 5 + 1))
    until ln -sn "$me" "$state/lock" 2>/dev/null; do
        holder=$(readlink "$state/lock") || { [ -w "$state" ] || refuse rights "could not write below $state"; continue; }
        if is_gone "$holder" && mkdir "$state/gone.$holder.$boot" 2>/dev/null; then
            [ "$(readlink "$state/lock")" != "$holder" ] || rm -f "$state/lock"
            rmdir "$state/gone.$holder.$boot"
            continue
        fi
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || refuse lock "another transaction runs on this host: process ${holder%%.*}"
        sleep "$nap"
    done
    lock=held
    output=$state/output.$$
    tick
}

release_lock() {
    [ -z "$lock" ] || rm -f "$state/lock"
    lock=''
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

# ------------------------------------------------------------------------------------------------- what is told

refuse() { # step detail: fails, and this call has changed nothing
    answer failed "$1" "$2"
}

lose() { # step detail: fails after `began` and before the switch
    rm -rf "$versions/.$version.$key.new" "$state/listing" "$state/values" "$state/configs" "$state/filled"
    [ "$1" != space ] || forget_build
    disarm
    record failed "$1: $2"
    answer failed "$1" "$2"
}

last_words() { # the last line that the last command said
    # shellcheck disable=SC2016 # `$` is the last line, for sed
    said=$(tail -c 2000 "$output" 2>/dev/null | tr '\000-\010\013-\037\177' ' ' | sed -n '/[^[:space:]]/h;${x;p;}')
    plain "${said:-it said nothing}"
}

plain() { # text: on one line, and short
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
        read_current
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
        [ -z "$need" ] || member upload "$part"
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

#:call
main "$@"
