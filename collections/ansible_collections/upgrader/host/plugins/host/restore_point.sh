# The restore point of a database, and the proof that a backup restores. Everything of one transaction lies in $safe, which is for
# nobody else: it holds patients' data.
#
#   STATE/SYSTEM/restore.KEY/   proof: what the rehearsal found · point.dump, point: the backup that the way back uses, its
#                               SHA-256 and rows · steps: every statement that began · mark: from where on rows are new ·
#                               lefts: under which names databases were left behind
#   STATE/SYSTEM/written-since.KEY.jsonl    the rows that were written between the upgrade and the way back

PROOF_HOURS=4 # a proof that this change made earlier is good for so long

told_of() { printf '%s\n' "$told" | sed -n "s/^$1 //p" | tail -n 1; } # word: what followed it on a line of its own

make_safe() {
    (umask 077 && mkdir -p "$safe") 2>/dev/null || { echo "could not make $safe" >"$output" && return 1; }
    private=$safe
}

other_database() { # back|try|left, number: a name beside the database's own, of this transaction
    tail=$(printf '%s_%s%s' "$1" "$(printf '%s' "$key" | tr -c 'A-Za-z0-9' _)" "$2")
    [ $((${#database} + ${#tail})) -le 62 ] || tail=$1_$(printf '%s' "$key" | sha256sum | cut -c 1-12)$2
    printf '%s_%s' "$(printf '%s' "$database" | cut -c 1-40)" "$tail"
}

# --- the rehearsal, while the old version serves

is_proven() { # this change proved it here not long ago, and the host did not go down since
    tick
    [ -s "$safe/proof" ] && IFS=' ' read -r proven_boot proven_at _ <"$safe/proof" && [ "$proven_boot" = "$boot" ] &&
        [ $((clock - proven_at)) -lt $((PROOF_HOURS * 360000)) ]
}

# A backup is made, restored into a database of its own and compared, table by table; the migrations run there. False, with step and
# words in $output. Nothing of it stays but the proof.
prove() {
    make_safe || return 1
    if is_proven; then return 0; fi
    rm -f "$safe/proof"
    tick
    started=$clock
    try=$(other_database try '')
    if rehearse_on "$try" && tick && printf '%s %s %s\n' "$boot" "$clock" "$proof" >"$safe/proof"; then failed=''; else failed=yes; fi
    words_then=$(cat "$output" 2>/dev/null)
    step_then=$step
    rm -rf "$safe/try.dump" "$safe/rows".* "$safe"/statements.*
    db_drop "$try"
    step=$step_then
    printf '%s\n' "$words_then" >"$output"
    [ -z "$failed" ]
}

rehearse_on() { # database
    step=backup
    db_back_up "$safe/try.dump" "$safe/rows.before" content || return 1
    step=proof
    db_restore "$safe/try.dump" "$1" && db_count "$1" content "$safe/rows.back" || return 1
    same_rows "$safe/rows.before" "$safe/rows.back" 'the backup does not restore' || return 1
    tick
    proof="restore proven in $(((clock - started) / 100)) s: $(shown_rows "$safe/rows.back")"
    steps=$safe/rehearsed
    migrate "$1" rehearsal && check_rows "$1" "$safe/rows.back"
}

same_rows() { # counts-file counts-file what-it-means
    differs=$(awk 'FNR == NR { was[$2] = $0; next } was[$2] != $0 { print $2 ": " (was[$2] == "" ? "?" : was[$2]) " / " $0; exit }' "$1" "$2")
    [ -n "$differs" ] || return 0
    echo "$3: $differs" >"$output"
    return 1
}

shown_rows() { awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $3 }' "$1"; } # counts-file

# After the migrations every main table is there, with as many rows as before, but where the release says that rows come or go.
check_rows() { # database counts-file-of-before
    step=rows
    db_count "$1" rows "$safe/rows.after" || return 1
    differs=$(awk -v free=" $(printf '%s' "$free_tables" | tr '\n' ' ') " '
        FNR == NR { was[$2] = $3; next }
        $3 == "-" { print $2 " is not there after the migrations"; exit }
        was[$2] != "-" && was[$2] != $3 && !index(free, " " $2 " ") { print $2 " had " was[$2] " rows and has " $3 " after the migrations"; exit }' \
        "$2" "$safe/rows.after")
    [ -n "$differs" ] || return 0
    echo "$differs" >"$output"
    return 1
}

# --- the restore point, while nobody writes

make_restore_point() { # false, with step and words in $output
    step=others
    keep_others_out || return 1
    step=backup
    db_back_up "$safe/point.dump" "$safe/rows.point" rows && db_is_whole "$safe/point.dump" || return 1
    point=$(digest_of_build "$safe/point.dump")
    if ! note_point; then
        echo 'the restore point could not be written' >"$output"
        return 1
    fi
    step=others
    nobody_is_there || return 1
    record restore-point "sha256:$point $(shown_rows "$safe/rows.point")" || { echo 'the journal of this host could not be written' >"$output" && return 1; }
}

note_point() {
    { printf 'sha256 %s\n' "$point" && cat "$safe/rows.point"; } >"$safe/point.new" && sync "$safe/point.dump" "$safe/point.new" &&
        mv -f "$safe/point.new" "$safe/point" && sync "$safe"
}

keep_others_out() {
    db_refuse_writes || return 1
    [ "$others" = refuse ] || db_end_strangers || return 1
    nobody_is_there
}

nobody_is_there() { # the program's own sessions get a moment to end
    tries=$((lock_seconds * 5 + 1))
    while db_strangers; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "others are connected to the database: $(printf '%s\n' "$told" | sed -n 's/^stranger //p' | sed 4q | tr '\n' ',')" >"$output" && return 1; }
        sleep 0.2
    done
}

# --- the way back

has_migrated() { [ -e "$safe/steps" ]; } # the first statement may have begun, and nothing was restored since

# Which other change left the database half migrated: its way back failed, and a person has to go on there first.
half_migrated() {
    for other in "$state"/restore.*; do
        if [ -e "$other/steps" ] && ! [ -s "$other/mark" ]; then printf '%s' "${other##*/restore.}"; fi
    done
}

is_swapped() { # the database that this attempt restored has the name already
    [ -s "$safe/swapping" ] && IFS= read -r left <"$safe/swapping" && db_exists "$left"
}

restore() { # twice is once; false, with step and words in $output
    step=restore private=$safe
    if is_swapped; then return 0; fi
    is_point_whole || { echo "the restore point $safe/point.dump is not there, or is not what was kept" >"$output" && return 1; }
    db_refuse_writes && db_end_strangers || return 1
    fresh=$(other_database back '')
    step=rows
    [ ! -s "$safe/mark" ] || keep_written || return 1
    step=restore
    db_restore "$safe/point.dump" "$fresh" && db_count "$fresh" rows "$safe/rows.back" || return 1
    sed 1d "$safe/point" >"$safe/rows.point"
    same_rows "$safe/rows.point" "$safe/rows.back" 'the restored database differs' || return 1
    [ ! -s "$safe/mark" ] || keep_gone "$fresh" || return 1
    number=''
    [ ! -s "$safe/lefts" ] || number=$(($(wc -l <"$safe/lefts")))
    left=$(other_database left "$number")
    printf '%s\n' "$left" >>"$safe/lefts" && printf '%s\n' "$left" >"$safe/swapping" && sync "$safe/lefts" "$safe/swapping" &&
        db_swap "$left" "$fresh"
}

is_point_whole() {
    [ -s "$safe/point" ] && IFS=' ' read -r _ point <"$safe/point" && is_digest "$point" "$safe/point.dump"
}

keep_written() { # the rows that were written since the migrations, before anything of them goes
    IFS= read -r horizon <"$safe/mark"
    db_written_since "$horizon" "$safe/written" && db_keys "$database" "$safe/keys.now"
}

# What was deleted since is known by comparison: it is in the restored database and not in the one that is left. So a row that the
# migrations themselves took away is listed as well.
keep_gone() { # database
    db_keys "$1" "$safe/keys.back" || return 1
    comm -23 "$safe/keys.back" "$safe/keys.now" | sed 's/^/{"gone": /; s/$/}/' >>"$safe/written"
    count=$(($(wc -l <"$safe/written")))
    if ! sync "$safe/written" || ! mv -f "$safe/written" "$written"; then
        echo "$written could not be written" >"$output"
        return 1
    fi
    rm -f "$safe/keys.now" "$safe/keys.back"
    remark="$count rows written since, sha256:$(digest_of "$written"), are kept in $written"
}

forget_restore_points() { # as many stay as versions do; what was written since stays for the hospital
    number=0
    # shellcheck disable=SC2012 # names of our own, and ls alone sorts by time
    ls -1t "$state" | while IFS= read -r old; do
        case $old in restore.*) ;; *) continue ;; esac
        [ "$state/$old" != "$safe" ] || continue
        forget_lefts "$state/$old"
        number=$((number + 1))
        [ "$number" -lt "$keep" ] || rm -rf "${state:?}/$old"
    done
}

forget_lefts() { # folder: the databases that its change left behind
    private=$safe
    [ -s "$1/lefts" ] || return 0
    while IFS= read -r name; do
        if is_name "$name"; then db_drop "$name"; fi
    done <"$1/lefts"
    rm -f "$1/lefts"
}
