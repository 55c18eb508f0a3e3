# The vendor's templates in $unpacked are filled with the site's values.

fill_templates() { # @name@ without a value is a failure: false, with detail
    values=$state/values
    (umask 077 && printf '%sroot=%s\nhome=%s\nshared=%s\nversion=%s\nsystem=%s\n' "$parameters" \
        "$root/$system" "$home" "$shared" "$version" "$system" >"$values") || { detail='the parameters could not be written' && return 1; }
    printf '%s' "$configs" >"$state/configs"
    while IFS='|' read -r template target; do
        [ -z "$template" ] || configure_one || return 1
    done <"$state/configs"
    rm -f "$values" "$state/configs"
}

configure_one() {
    detail="$template or $target leads outside its version"
    is_inside "$template" || return 1
    is_inside "$target" || return 1
    [ -f "$unpacked/$template" ] || { detail="$template is not in the build"; return 1; }
    folder_of_it=$unpacked/$target
    [ -d "${folder_of_it%/*}" ] || mkdir -p "${folder_of_it%/*}"
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

note_templates() { # for a partial upgrade, which fills them again
    printf 'unit=%s\n' "$unit"
    while IFS= read -r pair; do
        [ -z "$pair" ] || printf 'config=%s\n' "$pair"
    done <<PAIRS
$configs
PAIRS
} >>"$unpacked/.upgrader"
