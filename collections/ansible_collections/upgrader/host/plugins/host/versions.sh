# Versions as folders, and one link, `current`, that names the one that runs. `archive` and `files` have this in common.

strategy_home() { # version
    printf '%s' "$versions/$1"
}

strategy_read() { # sets current and digest
    current='' digest=''
    [ -L "$link" ] || return 0
    current=$(readlink "$link")
    current=${current#versions/}
    digest=$(notes sha256 "$versions/$current/.upgrader")
}

strategy_folders() {
    { [ -d "$versions" ] && [ -d "$shared" ]; } || mkdir -p "$versions" "$shared" 2>/dev/null || refuse rights "could not make $versions"
}

check_service_files() { # what starts the service is among the files
    if [ "$manager" = systemd ]; then
        [ -f "$unpacked/$unit" ] || lose config "the unit file $unit is not in the build"
    else
        [ -x "$unpacked/$script" ] || lose config "the service script $script is not in the build, or is no program"
    fi
}

put_beside() { # the finished folder gets its name at once; a half one never has it
    sync -f "$unpacked" 2>/dev/null || sync
    if [ -e "$home" ]; then
        rm -rf "$versions/.$version.old"
        mv -T "$home" "$versions/.$version.old" || lose unpack "could not move the earlier $version away"
    fi
    mv -T "$unpacked" "$home" || lose unpack "could not name $home"
    [ ! -e "$versions/.$version.old" ] || rm -rf "$versions/.$version.old"
    ready_link "$version" || lose switch "could not make $link.new"
}

strategy_clean() { # what a run left that never switched
    rm -rf "$versions"/.*.new "$versions"/.*.old "$link.new"
}

strategy_switch() { point_current "$version"; }

strategy_back() { point_current "$from"; }

strategy_can_go_back() { # false, with detail, when the version to go back to is gone
    [ -z "$from" ] || [ -d "$versions/$from" ] || { detail="version $from is no longer on this host"; return 1; }
}

# One rename, so that there is no moment without a version; what can be made before the service stops is made by `ready_link`.
point_current() { # version, or nothing
    if [ -z "$1" ]; then
        rm -f "$link"
    else
        [ "$link_ready" = "$1" ] || ready_link "$1"
        link_ready=''
        mv -fT "$link.new" "$link"
    fi 2>"$output"
}

link_ready=''
ready_link() { # version
    [ ! -L "$link.new" ] || rm -f "$link.new"
    ln -s "versions/$1" "$link.new" && link_ready=$1
}

strategy_lasts() { sync "$root/$system" 2>/dev/null || sync; }

strategy_prune() { prune_versions; }

prune_versions() { # keep the newest versions; never the one that runs, never the one that a rollback needs
    kept=0
    # shellcheck disable=SC2012 # version names are words, and ls alone sorts by time
    ls -1t "$versions" | while IFS= read -r name; do
        is_word "$name" || continue
        if [ "$name" = "$current" ] || [ "$name" = "$from" ]; then continue; fi
        kept=$((kept + 1))
        [ "$kept" -le "$((keep - 1))" ] || rm -rf "${versions:?}/$name"
    done
}

notes() { # name file: what a version's own notes say of it, one value a line
    [ -r "$2" ] || return 0
    while IFS= read -r note; do
        case $note in "$1="*) printf '%s\n' "${note#*=}" ;; esac
    done <"$2"
}
