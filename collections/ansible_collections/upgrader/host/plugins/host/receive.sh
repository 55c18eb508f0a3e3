# The build on its way in. Pieces arrive in $incoming as SHA256.OFFSET.part and are joined in our own folder, where
# their sender can no longer put another thing in their place, and judged there. What arrived before a link broke stays.
#
# Where this host holds the build that it was installed from, a patch may come instead, as SHA256.BASE.OFFSET.part: base and
# patch give the uncompressed archive, which is judged by its own digest.

make_folders() {
    [ -d "$incoming" ] || mkdir -p "$incoming" 2>/dev/null || refuse rights "could not make $state"
    strategy_folders
    chmod 0700 "$incoming"
    [ -z "$user" ] || ! is_root || chown "$user" "$incoming" || refuse rights "could not give $incoming to $user"
}

receive() { # sets need=build, and the build that is meant, unless every right build is here
    need='' prefix=''
    while IFS=' ' read -r sha256_of size_of _; do
        [ -n "$sha256_of" ] || continue
        place_build "$sha256_of"
        receive_one "$sha256_of" "$size_of"
        [ -z "$need" ] || return 0
    done <<BUILDS
$builds
BUILDS
}

place_build() { # sha256: where its pieces arrive, and where it is kept
    part=$incoming/$1 build=$state/$1.build
}

receive_one() { # sha256 size: with have and prefix, how much of it is here, where it has to be sent
    if [ "$1" = "$sha256" ] && take_archive; then return; fi
    join_pieces "$1" "$build"
    if [ "$have" -eq "$2" ]; then
        own_build
        if is_digest "$1" "$build"; then return; fi
        detail="the build that was here is not sha256 $1"
    fi
    need=build wanted=$1 bases=$(bases_here)
    if [ "$have" -gt 0 ] && [ "$have" -lt "$2" ] && [ "$sent" != "$1" ] && [ "$sent" != 1 ]; then
        own_build
        prefix=$(digest_of_build "$build")
    else
        have=0
        rm -f "$build" "$part".*
    fi
}

join_pieces() { # name target: sets have to the number of bytes that are in target then, from the first one on
    while :; do
        have=0
        [ ! -f "$2" ] || have=$(wc -c <"$2")
        have=$((have)) # without the blanks of some wc
        piece=$incoming/$1.$have.part
        if ! [ -s "$piece" ] || [ -L "$piece" ]; then return; fi
        if [ "$have" -eq 0 ]; then
            mv -f "$piece" "$2"
        elif cat "$piece" >>"$2"; then
            rm -f "$piece"
        else
            detail='the disk is full' have=0
            return
        fi 2>/dev/null
    done
}

is_root() {
    uid=${uid:-$(id -u)}
    [ "$uid" = 0 ]
}

own_build() {
    ! is_root || chown 0:0 "$build"
    chmod 0600 "$build"
}

is_digest() { # sha256 file
    [ -f "$2" ] && [ ! -L "$2" ] && [ "$(digest_of_build "$2")" = "$1" ]
}

# Where the host has openssl, which uses what the processor has for it: a fifth of the time that sha256sum takes.
digest_of_build() { # file
    found=$(openssl dgst -sha256 -r <"$1" 2>/dev/null)
    found=${found%% *}
    case $found in
        *[!0-9a-f]* | '') digest_of "$1" ;;
        *) printf '%s' "$found" ;;
    esac
}

digest_of() { # file
    sha256sum <"$1" | { read -r found _ && printf '%s' "$found"; }
}

take_archive() { # the uncompressed archive is here, or a patch that gives it; $build is it then
    [ -n "$tar" ] || return 1
    for piece in "$incoming/$sha256".*.0.part; do
        [ -e "$piece" ] || continue
        patched=${piece##*/}
        patched=${patched%.0.part}
        join_pieces "$patched" "$state/patch"
        rebuild "${patched#*.}"
        rm -f "$incoming/$patched".* "$state/patch" "$state/base.tar"
    done
    if is_digest "$tar" "$state/$sha256.tar"; then
        build=$state/$sha256.tar
        return
    fi
    rm -f "$state/$sha256.tar"
    return 1
}

rebuild() { # base: with the patch in $state/patch. What comes of it is judged by its digest, so nothing here can mislead
    is_word "$1" || return 0
    (umask 077 && unpack_base "$1" >"$state/base.tar") &&
        (umask 077 && zstd -q -d -f --patch-from="$state/base.tar" "$state/patch" -o "$state/$sha256.tar" >/dev/null 2>&1)
}

unpack_base() { # sha256: its uncompressed archive on standard output
    for kept in "$state/$1".base.*; do
        case $kept in
            *.gz) gzip -dc ;;
            *.xz) xz -dc ;;
            *.bz2) bzip2 -dc ;;
            *.zst) zstd -q -dc ;;
            *) cat ;;
        esac <"$kept" 2>/dev/null
    done
}

bases_here() { # what a patch could be made from; nothing where there is no zstd
    command -v zstd >/dev/null || return 0
    for kept in "$state"/*.base.*; do
        [ -f "$kept" ] || continue
        kept=${kept##*/}
        printf '%s ' "${kept%%.*}"
    done
}

keep_base() { # the build that is installed now, so that the next one may come as a patch; and the one before it
    command -v zstd >/dev/null || return 0
    if [ -f "$state/$sha256.tar" ]; then
        zstd -q -1 -f "$state/$sha256.tar" -o "$state/base.new" 2>/dev/null && mv -f "$state/base.new" "$state/$sha256.base.zst"
        rm -f "$state/base.new"
    elif place_build "$sha256" && [ -f "$build" ]; then
        case $file in
            *.tar.gz | *.tgz) form=gz ;;
            *.tar.xz | *.txz) form=xz ;;
            *.tar.bz2 | *.tbz) form=bz2 ;;
            *.tar) form=tar ;;
            *) return 0 ;; # no archive: nothing is patched from it
        esac
        mv -f "$build" "$state/$sha256.base.$form"
    fi
    number=0
    # shellcheck disable=SC2012 # names of our own, and ls alone sorts by time
    ls -1t "$state" | while IFS= read -r kept; do
        case $kept in *.base.*) number=$((number + 1)) ;; *) continue ;; esac
        [ "$number" -le "$BASES_KEPT" ] || rm -f "$state/$kept"
    done
}

forget_build() { # of this transaction
    while IFS=' ' read -r sha256_of _; do
        [ -n "$sha256_of" ] || continue
        rm -f "$state/$sha256_of.build" "$incoming/$sha256_of".*
    done <<BUILDS
$builds
BUILDS
    rm -f "$state/$sha256.tar" "$state/unpacking.tar"
}

forget_old_builds() { # that came before this transaction, and that nobody used
    for old in "$state"/*.build "$state"/*.tar "$incoming"/*; do
        # shellcheck disable=SC3013 # dash and busybox both know -nt
        [ "$old" -nt "$state/armed" ] || rm -f "$old"
    done
}

ask_for_the_build() {
    read_free_space
    case $sent in 1 | "$wanted") refuse receive "${detail:-the build did not arrive; $free_kb KB are free below $state}" ;; esac
    answer unchanged receive "$detail"
}
