# The strategy `archive`: every version is a folder of its own, and one link, `current`, names the one that runs.
#
#   ROOT/SYSTEM/versions/VERSION/     current -> versions/VERSION     shared/

strategy_places() {
    versions=$root/$system/versions
    link=$root/$system/current
    home=$versions/$version
    unpacked=$versions/.$version.$key.new
}

strategy_input() { # name value: an input that only this strategy knows; it knows none
    return 1
}

strategy_check() {
    [ "$manager" != systemd ] || [ -n "$unit" ] || refuse input 'systemd needs a service name and a unit file'
}

strategy_programs() { printf 'tar'; }

strategy_judge() { # false, with step and detail, where it cannot begin
    step=base
    if [ -e "$link" ] && ! [ -L "$link" ]; then
        detail="$link is not a link: this system was not installed by upgrader"
        return 1
    fi
    if [ -n "$current" ] && ! [ -d "$versions/$current" ]; then
        detail="$link names version $current, which is not on this host"
        return 1
    fi
}

strategy_prepare() { # all that can be done while the old version serves
    unpack
    fill_templates || lose config "$detail"
    note_templates || lose space 'disk full'
    check_service_files
    put_beside
}
