# The strategy `package`: Debian packages, put in by dpkg and without a network. The version is that of the main package,
# without its epoch.
#
#   STATE/SYSTEM/packages/VERSION/    the packages of a version that we put in, and `digest`, the SHA-256 of them all
#   STATE/SYSTEM/kept.KEY/            what the way back needs: previous/ holds the packages, files.tar the site's
#                                     configuration, folders.tar the folders that go back too; the rest are lists
#
# Like dpkg itself it works below another root than `/` where DPKG_ROOT names one, as for an image.

main_package='' held=refuse unfinished=refuse limit_seconds=300 lock_seconds=120 restored='' previous='' own_builds=''
wanted_previous=''

strategy_input() { # name value
    case $1 in
        package) main_package=$2 ;;
        held) held=$2 ;;
        unfinished) unfinished=$2 ;;
        limit_seconds) limit_seconds=$2 ;;
        lock_seconds) lock_seconds=$2 ;;
        restore) restored=$restored$2$NEWLINE ;;
        previous) previous=$previous$2$NEWLINE ;;
        *) return 1 ;;
    esac
}

strategy_check() {
    is_word "$main_package" || refuse input "malformed: $main_package"
    case $held.$unfinished in refuse.refuse | refuse.repair | lift.refuse | lift.repair) ;; *) refuse input "unknown: $held or $unfinished" ;; esac
    for number in "$limit_seconds" "$lock_seconds"; do
        case $number in *[!0-9]* | '' | ??????*) refuse input "not a number: $number" ;; esac
    done
    while IFS= read -r path; do
        [ -z "$path" ] || is_inside "$path" || refuse input "leads outside: $path"
    done <<PATHS
$restored
PATHS
    check_builds "$(printf '%s' "$previous" | sed 's/^[^ ]* //')"
}

strategy_places() {
    packages=$state/$system/packages
    home=${DPKG_ROOT:-}
    info=$home/var/lib/dpkg/info
    stops_first=yes
    own_builds=$builds
}

strategy_programs() { printf 'apt-get dpkg dpkg-deb dpkg-query du env tar'; }

strategy_home() { printf '%s' "${home:-/}"; }

strategy_data() { strategy_home; }

strategy_read() { # a package that dpkg left half done counts as the version that was being put in
    current='' digest=''
    command -v dpkg-query >/dev/null || return 0
    read_package "$main_package"
    case $package_state in
        ?i*) current=$package_version ;;
        ?n* | ?c* | '') ;;
        *) current=${open_to:-$package_version} ;;
    esac
    if [ -n "$current" ] && [ -r "$packages/$current/digest" ]; then IFS= read -r digest <"$packages/$current/digest"; fi
}

place_kept() { kept=$state/kept.$key; } # of this key

# --- what is in the packages, and what is installed

# One line a package of this release: NAME VERSION ARCHITECTURE SHA256 FILE, all told by the file's name.
package_lines() {
    printf '%s' "$own_builds" | while IFS=' ' read -r sum _ name_of_file; do
        rest=${name_of_file#*_}
        architecture=${rest##*_}
        printf '%s %s %s %s %s\n' "${name_of_file%%_*}" "${rest%_*}" "${architecture%.deb}" "$sum" "$name_of_file"
    done
}

read_package() { # name: sets package_state (`ii`, `hi`, `iF` …) and package_version without its epoch; empty if unknown
    IFS='|' read -r package_state package_version <<STATE
$(dpkg-query -W -f '${db:Status-Abbrev}|${Version}\n' "$1" 2>/dev/null | sed 1q)
STATE
    package_version=${package_version#*:}
}

names_unfinished() { dpkg --audit 2>/dev/null | sed -n 's/^ \([^ ]*\).*/ \1/p' | sort -u | tr -d '\n'; }

conffiles_of() { # names...: their configuration files, relative to the root, one a line, with ` obsolete` where dpkg says so
    dpkg-query -W -f '${Conffiles}\n' "$@" 2>/dev/null | sed -n 's|^ /\(.*\) [0-9a-f]\{32\}\( obsolete\)\{0,1\}.*$|\1\2|p'
}

# --- judging

strategy_judge() {
    step=tools detail='this host has no dpkg: packages need Debian or one of its kin'
    command -v dpkg-query >/dev/null || return 1
    if [ "$current" = "$version" ] || [ "$open_key" = "$key" ]; then return 0; fi
    step=rights detail="$home/var/lib/dpkg must be writable for $(id -un)"
    [ -w "$home/var/lib/dpkg" ] || return 1
    names=$(names_unfinished)
    step=dpkg detail="an earlier run of dpkg was not finished:$names"
    [ -z "$names" ] || [ "$unfinished" = repair ] || return 1
    judge_packages
}

judge_packages() { # architecture, holds, and the way back
    architectures=" $(dpkg --print-architecture) $(dpkg --print-foreign-architectures | tr '\n' ' ') all "
    wanted_previous='' missing=''
    while IFS=' ' read -r name put_in architecture _; do
        case $architectures in *" $architecture "*) ;; *) step=architecture detail="$name is for $architecture" && return 1 ;; esac
        read_package "$name"
        case $package_state in
            hi*) [ "$held" = lift ] || { step=held detail="$name is held at $package_version" && return 1; } ;;
            ?i*) ;;
            *) continue ;;
        esac
        [ "$package_version" = "$put_in" ] || find_previous "$name" "$package_version" || missing="$missing ${name}_$package_version"
    done <<LINES
$(package_lines)
LINES
    step=previous detail="there would be no way back: not at hand are the packages$missing"
    [ -z "$missing" ]
}

# Where the package that is installed now can be had: from us, from apt's cache, or from the controller that has its release.
find_previous() { # name version: sets found; empty when it has to be sent, which adds to wanted_previous
    for found in "$packages"/*/"$1_$2"_*.deb "$home/var/cache/apt/archives/$1"_*.deb; do
        case ${found##*/} in "$1_$2"_*.deb | "$1"_[0-9]*%3a"$2"_*.deb) [ ! -f "$found" ] || return 0 ;; esac
    done
    found=''
    line=$(printf '%s' "$previous" | while IFS=' ' read -r of sum bytes name_of_file; do
        case $of.$name_of_file in "$current.$1_$2"_*.deb) printf '%s %s %s\n' "$sum" "$bytes" "$name_of_file" ;; esac
    done)
    [ -n "$line" ] && wanted_previous=$wanted_previous$line$NEWLINE
}

strategy_folders() { # what has to be sent, too: the packages that the way back needs and nobody kept here
    mkdir -p "$packages" 2>/dev/null || refuse rights "could not make $packages"
    builds=$own_builds$wanted_previous
}

# --- before the switch

strategy_prepare() {
    place_kept
    rm -rf "$kept"
    mkdir -p "$kept/previous" "$kept/nothing/partial" || lose space "could not make $kept"
    lay_out
    finish_unfinished
    check_installable
    keep_what_is_there || lose previous "$detail"
    sync -f "$kept" 2>/dev/null || sync
}

lay_out() { # our packages under their names, each being what its name says
    laid=$packages/.$version.$key.new
    rm -rf "$laid"
    mkdir "$laid" || lose space "could not make $laid"
    while IFS=' ' read -r name put_in architecture sum name_of_file; do
        place_build "$sum"
        ln "$build" "$laid/$name_of_file" 2>/dev/null || cp "$build" "$laid/$name_of_file" || lose space "could not keep $name_of_file"
        # shellcheck disable=SC2016 # dpkg fills these in
        shown=$(dpkg-deb -W --showformat '${Package}|${Version}|${Architecture}' "$laid/$name_of_file" 2>"$output") ||
            lose unpack "$name_of_file is no package: $(last_words)"
        case $shown in
            "$name|$put_in|$architecture" | "$name|"[0-9]*":$put_in|$architecture") ;;
            *) lose unpack "$name_of_file is $shown inside" ;;
        esac
    done <<LINES
$(package_lines)
LINES
    printf '%s\n' "$sha256" >"$laid/digest"
    rm -rf "${packages:?}/$version"
    mv -T "$laid" "$packages/$version" || lose space "could not name $packages/$version"
}

finish_unfinished() { # waits until nobody else holds dpkg; mends what an earlier run left, which strategy_judge allowed
    names=$(names_unfinished)
    [ -z "$names" ] || changed=true
    run_dpkg --configure -a || lose dpkg "$(last_words)"
    [ -z "$names" ] || remark="finished what an earlier run of dpkg had left:$names"
    names=$(names_unfinished)
    [ -z "$names" ] || lose dpkg "an earlier run of dpkg can't be finished:$names"
}

# Would it go in with what is installed and what was sent, and nothing else? apt is asked, with no source to look at.
check_installable() {
    set -- "$packages/$version"/*.deb
    [ -z "$home" ] || set -- -o "Dir::State::status=$home/var/lib/dpkg/status" "$@"
    run_limited "$limit_seconds" / env LC_ALL=C apt-get -s -q -y --no-install-recommends --no-remove --allow-downgrades \
        --allow-change-held-packages -o "Dir::State::Lists=$kept/nothing/" -o "Dir::Cache=$kept/nothing" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Dir::Etc::SourceList=/dev/null \
        -o Dir::Etc::SourceParts=/dev/null install "$@" && return
    unmet=$(sed -n '/Depends: \|Conflicts: \|Breaks: /{s/^ *//;p;q;}' "$output")
    lose dependencies "${unmet:-$(last_words)}"
}

keep_what_is_there() { # false, with detail
    (cd "$kept" && : >there && : >new && : >forgotten && : >held && : >absent && : >files) || { detail='disk full' && return 1; }
    while IFS=' ' read -r name put_in _; do
        keep_package "$name" "$put_in" || return 1
    done <<LINES
$(package_lines)
LINES
    keep_configuration && check_room_for_folders
}

keep_package() { # name version
    read_package "$1"
    case $package_state in
        ?i*) printf '%s %s\n' "$1" "$package_version" >>"$kept/there" ;;
        ?c*) printf '%s\n' "$1" >>"$kept/forgotten" && return ;;
        *) printf '%s\n' "$1" >>"$kept/new" && return ;;
    esac
    case $package_state in h*) printf '%s hold\n' "$1" >>"$kept/held" ;; esac
    [ "$package_version" != "$2" ] || return 0
    find_previous "$1" "$package_version" || { detail="${1}_$package_version is no longer at hand" && return 1; }
    named=$kept/previous/${1}_${package_version}_.deb
    if [ -z "$found" ]; then
        place_build "${line%% *}"
        found=$build
    fi
    cp "$found" "$named" || { detail="disk full: ${1}_$package_version could not be kept" && return 1; }
    # shellcheck disable=SC2016 # dpkg fills these in
    shown=$(dpkg-deb -W --showformat '${Package}|${Version}' "$named" 2>/dev/null)
    case $shown in
        "$1|$package_version" | "$1|"[0-9]*":$package_version") ;;
        *) detail="${found##*/} is $shown inside" && return 1 ;;
    esac
}

keep_configuration() { # the site's configuration files as they are, and which of them are not there
    names=$(cut -d' ' -f1 <"$kept/there")
    {
        # shellcheck disable=SC2086 # names of packages are words
        [ -z "$names" ] || conffiles_of $names | sed 's/ obsolete$//'
        printf '%s' "$configs" | sed 's/^[^|]*|//'
    } | while IFS= read -r path; do
        for beside in "$path" "$path.dpkg-dist" "$path.dpkg-new" "$path.dpkg-old"; do
            if [ -e "$home/$beside" ] || [ -L "$home/$beside" ]; then list=files; else list=absent; fi
            printf '%s\n' "$beside" >>"$kept/$list"
        done
    done
    tar -c -f "$kept/files.tar" -C "${home:-/}" -T "$kept/files" 2>"$output" || { detail="$(last_words)" && return 1; }
}

check_room_for_folders() {
    room=$(printf '%s' "$restored" | while IFS= read -r path; do
        [ ! -d "$home/$path" ] || du -sk "$home/$path" 2>/dev/null | tr '\t' ' '
    done | while IFS=' ' read -r kilobytes _; do printf '%s + ' "$kilobytes"; done)
    room=$((${room}0 + SPARE_KB)) free=$(free_kb_of "$kept")
    [ "$free" -ge "$room" ] || lose space "$room KB are needed below $state, $free KB are free"
}

# --- the switch, and the way back

strategy_switch() {
    place_kept
    keep_folders || return 1
    run_dpkg -i "$packages/$version"/*.deb || return 1
    are_put_in || return 1
    hold_again || return 1
    unpacked=$home
    fill_templates || { echo "$detail" >>"$output" && return 1; }
    reload_units
    tell_of_conffiles
}

keep_folders() { # as they are once the service has stopped; never a second time, when the new version has written to them
    [ ! -e "$kept/folders.tar" ] || return 0
    printf '%s' "$restored" | while IFS= read -r path; do
        [ ! -d "$home/$path" ] || printf '%s\n' "$path"
    done >"$kept/folders"
    tar -c -f "$kept/folders.tar.new" -C "${home:-/}" -T "$kept/folders" 2>"$output" && sync "$kept/folders.tar.new" &&
        mv "$kept/folders.tar.new" "$kept/folders.tar"
}

# dpkg never asks, keeps the configuration that the site changed, ends at its limit with all its children, and waits until
# another program (unattended-upgrades) lets go. False with the reason as the last line of $output.
run_dpkg() { # arguments...
    tick
    wait_until=$((clock + lock_seconds * 100))
    until run_limited "$limit_seconds" / env LC_ALL=C "PATH=$PATH:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive \
        dpkg --force-confdef --force-confold "$@"; do
        held_by=$(sed -n '/locked by another process/p' "$output" | sed 1q)
        if [ -z "$held_by" ]; then
            # shellcheck disable=SC2016 # `$` is the last line, for sed
            [ "$code" = 124 ] || sed -n '/subprocess\|dpkg: error\|dependency problems/h;${x;s/^ *//;p;}' "$output" >>"$output.why"
            [ ! -s "$output.why" ] || cat "$output.why" >>"$output"
            rm -f "$output.why"
            return 1
        fi
        tick
        [ "$clock" -lt "$wait_until" ] || { echo "waited $lock_seconds s: $held_by" >>"$output" && return 1; }
        sleep 1
    done
}

are_put_in() { # read back: dpkg's exit code proves nothing
    while IFS=' ' read -r name put_in _; do
        read_package "$name"
        case $package_state.$package_version in
            ?i*".$put_in") ;;
            *) echo "$name should be $put_in, and dpkg says ${package_state:-nothing}$package_version" >>"$output" && return 1 ;;
        esac
    done <<LINES
$(package_lines)
LINES
}

hold_again() {
    [ ! -s "$kept/held" ] || dpkg --set-selections <"$kept/held" >"$output" 2>&1
}

reload_units() { [ "$manager" != systemd ] || systemctl daemon-reload >"$output" 2>&1; }

tell_of_conffiles() { # the site's file stays, and the vendor's lies beside it
    stays=$(while IFS= read -r path; do
        case $path in *.dpkg-dist) [ ! -e "$home/$path" ] || printf ' /%s' "${path%.dpkg-dist}" ;; esac
    done <"$kept/absent")
    [ -z "$stays" ] || remark="${remark:+$remark; }the site's own stay, the vendor's lie beside as .dpkg-dist:$stays"
}

strategy_back() {
    place_kept
    [ -n "$was_started" ] || return 0
    strategy_can_go_back || { echo "$detail" >"$output" && return 1; }
    : >"$output"
    set -- "$kept/previous"/*.deb
    [ ! -e "$1" ] || put_back --force-downgrade -i "$@" || return 1
    remove_listed new --purge && remove_listed forgotten --remove || return 1
    restore_configuration && restore_folders && hold_again || return 1
    reload_units
    are_back && rm -rf "${packages:?}/$to"
}

put_back() { # arguments of dpkg; where the scripts of the version that failed stand in the way, without them
    run_dpkg "$@" && return
    for name in $(package_lines | cut -d' ' -f1); do
        rm -f "$info/$name.prerm" "$info/$name.postrm" "$info/$name:"*.prerm "$info/$name:"*.postrm
    done
    run_dpkg "$@"
}

remove_listed() { # list option
    [ -s "$kept/$1" ] || return 0
    # shellcheck disable=SC2046 # names of packages are words
    put_back --force-remove-reinstreq "$2" $(cat "$kept/$1")
}

restore_configuration() {
    # shellcheck disable=SC2046 # names of packages are words
    set -- $(cut -d' ' -f1 <"$kept/there")
    [ $# = 0 ] || conffiles_of "$@" | sed -n 's/ obsolete$//p' | while IFS= read -r path; do
        is_listed "$path" "$kept/files" || rm -f "$home/$path"
    done
    while IFS= read -r path; do rm -f "$home/$path"; done <"$kept/absent"
    tar -x -p -f "$kept/files.tar" -C "${home:-/}" >"$output" 2>&1
}

is_listed() { # text file
    while IFS= read -r line; do
        [ "$line" != "$1" ] || return 0
    done <"$2"
    return 1
}

restore_folders() { # each beside its place first, so that a run that is cut short finds either
    [ -s "$kept/folders" ] && [ -e "$kept/folders.tar" ] || return 0
    rm -rf "$kept/unpacked"
    mkdir "$kept/unpacked" && tar -x -p -f "$kept/folders.tar" -C "$kept/unpacked" >"$output" 2>&1 || return 1
    while IFS= read -r path; do
        rm -rf "$home/$path.upgrader"
        cp -a "$kept/unpacked/$path" "$home/$path.upgrader" 2>>"$output" && rm -rf "$home/${path:?}" &&
            mv -T "$home/$path.upgrader" "$home/$path" || return 1
    done <"$kept/folders"
    rm -rf "$kept/unpacked"
}

are_back() {
    while IFS=' ' read -r name version_before; do
        read_package "$name"
        case $package_state.$package_version in
            ?i*".$version_before") ;;
            *) echo "$name should be $version_before again, and dpkg says ${package_state:-nothing}$package_version" >>"$output" && return 1 ;;
        esac
    done <"$kept/there"
    while IFS= read -r name; do
        read_package "$name"
        case $package_state in ?i*) echo "$name should be gone, and is there" >>"$output" && return 1 ;; esac
    done <"$kept/new"
}

strategy_can_go_back() { # false, with detail
    place_kept
    [ -e "$kept/files.tar" ] || { detail="what was there before $to is no longer kept" && return 1; }
}

strategy_clean() {
    place_kept
    rm -rf "$packages"/.*.new
    [ -n "$key_switched" ] || rm -rf "$kept"
}

strategy_prune() { # keep the newest packages; never those that are installed, never those that a rollback needs
    place_kept
    count=0
    # shellcheck disable=SC2012 # version names are words, and ls alone sorts by time
    ls -1t "$packages" | while IFS= read -r name; do
        is_word "$name" || continue
        if [ "$name" = "$current" ] || [ "$name" = "$from" ]; then continue; fi
        count=$((count + 1))
        [ "$count" -le "$((keep - 1))" ] || rm -rf "${packages:?}/$name"
    done
    # shellcheck disable=SC2012 # names of our own, and ls alone sorts by time
    ls -1td "$state"/kept.* | tail -n +$((keep + 1)) | while IFS= read -r old; do
        [ "$old" = "$kept" ] || rm -rf "$old"
    done
}
