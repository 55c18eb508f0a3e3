#!/bin/sh
# The host transaction: takes one system on this host from one version to another, or back again.
#
#   sh transaction.sh VERB < inputs         the protocol is described in the README of this collection
#
# POSIX sh; runs under dash and busybox ash; needs no Python. It is put together from parts: this one, the others beside it,
# and one file of `strategy/`. It is either a file, or is sent as text over ssh and run by `eval`. Everything is a function and only the last line, which the sender adds, calls one: a text that was cut short on
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
BASES_KEPT=2    # builds that are kept so that the next one may come as a patch: the version that runs, and the one before
NEWLINE='
'

main() {
    verb=${1:-}
    # A lost link ends no transaction: the handlers do nothing, and programs that we start get the default back.
    trap : HUP INT PIPE TERM
    empty_inputs
    if [ "$verb" = expire ]; then read_inputs <"$2"; else read_inputs; fi
    tick
    IFS= read -r boot </proc/sys/kernel/random/boot_id
    shared=$root/$system/shared
    [ -n "$builds" ] || builds="$sha256 $size $file$NEWLINE"
    strategy_places
    state=$state/$system
    journal=$state/journal
    incoming=$state/incoming
    [ ! -w "$state" ] || output=$state/output.$$
    case $verb in
        probe) probe ;;
        stage) stage ;;
        apply) apply ;;
        confirm) confirm ;;
        revert) revert ;;
        status) status ;;
        expire) expire ;;
        rehearse) rehearse ;;
        *) refuse input "unknown verb $verb" ;;
    esac
}

empty_inputs() {
    format='' key='' system='' version='' file='' sha256='' size=0 tar='' base='' state='' root='' manager=systemd
    service='' unit='' script='' settle=2 start_seconds=60 health='' health_seconds=20 keep=2 confirm_seconds=120
    busy='' busy_seconds=0 busy_then=defer notice='' busy_nap=5
    wait_seconds=20 nap=0.2 user='' sent=0 builds='' follows='' configs='' parameters='' complete=''
    inputs='' step=input detail='' from='' to='' current='' digest='' need='' would='' changed=false
    rows='' running='' healthy='' pending='' free_kb='' downtime_ms='' stopped_at='' unpack_ms='' health_ms='' lock=''
    remark='' wanted='' have=0 prefix='' bases='' part='' build='' also_words='' stops_first='' was_started=''
    journal='' output=/dev/null line_whole='' uid=''
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
            build) builds=$builds$value$NEWLINE ;;
            size) size=$value ;;
            tar) tar=$value ;;
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
            busy) busy=$value ;;
            busy_seconds) busy_seconds=$value ;;
            busy_then) busy_then=$value ;;
            notice) notice=$value ;;
            keep) keep=$value ;;
            confirm_seconds) confirm_seconds=$value ;;
            wait_seconds) wait_seconds=$value ;;
            user) user=$value ;;
            sent) sent=$value ;;
            config.from) configs=$configs$value ;;
            config.to) configs="$configs|$value$NEWLINE" ;;
            parameter.*) parameters=$parameters${line#parameter.}$NEWLINE ;;
            end) complete=$value ;;
            *) other_input "${line%%=*}" "$value" || refuse input "unknown line: $line" ;;
        esac
    done
    check_inputs
}

# shellcheck disable=SC2329 # the part for work has its own
other_input() { # name value: of a strategy; parts that have inputs of their own come first
    strategy_input "$1" "$2"
}

# shellcheck disable=SC2329 # as well
check_other_inputs() { :; }

check_inputs() {
    [ "$complete" = inputs ] || refuse input 'the inputs were cut short'
    [ "$format" = "$FORMAT" ] || refuse input "expected inputs of $FORMAT, found $format"
    for word in "$system" "$version" "$key"; do
        is_word "$word" || refuse input "malformed: $word"
    done
    case $base in '*') ;; *[!A-Za-z0-9._+~-]*) refuse input "malformed: $base" ;; esac
    case $service$user in *[!A-Za-z0-9._@-]*) refuse input "malformed: $service or $user" ;; esac
    case $sha256 in *[!0-9a-f]* | '') refuse input 'sha256 is malformed' ;; esac
    case $tar in *[!0-9a-f]*) refuse input 'tar is malformed' ;; esac
    check_builds "$builds"
    for path in "$unit" "$script"; do
        is_inside "$path" || refuse input "leads outside its version: $path"
    done
    for number in "$size" "$settle" "$start_seconds" "$health_seconds" "$keep" "$busy_seconds" "$confirm_seconds" "$wait_seconds"; do
        case $number in *[!0-9]* | '' | ????????????????*) refuse input "not a number: $number" ;; esac
    done
    for folder in "$root" "$state"; do
        # The last group would mean something in a systemd unit file.
        case $folder in /../* | */../* | */.. | *[\"\\%\$]*) refuse input "not a plain folder: $folder" ;; /?*) ;; *) refuse input "not a full path: $folder" ;; esac
    done
    case $manager in
        systemd) [ -n "$service" ] || refuse input 'systemd needs the name of a service' ;;
        none) ;;
        script) [ -n "$script" ] || refuse input 'no service script is named' ;;
        *) refuse input "unknown service manager $manager" ;;
    esac
    check_other_inputs
    strategy_check
}

check_builds() { # lines of `SHA256 SIZE FILE`
    while IFS=' ' read -r digest_of size_of file_of; do
        [ -n "$digest_of" ] || continue
        case $digest_of in *[!0-9a-f]*) refuse input 'the sha256 of a build is malformed' ;; esac
        case $size_of in *[!0-9]* | '' | ????????????????*) refuse input "not a number: $size_of" ;; esac
        is_word "$file_of" || refuse input "malformed: $file_of"
    done <<BUILDS
$1
BUILDS
}

is_word() { # text: may be part of a file name as it is
    case $1 in '' | [.-]* | *[!A-Za-z0-9._+~-]*) return 1 ;; esac
}

is_inside() { # path: relative, and stays below where it starts
    case /$1/ in //?* | */../*) return 1 ;; esac
}
