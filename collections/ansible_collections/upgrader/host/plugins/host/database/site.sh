# What a site's inventory says of the database on this host.

is_name() { # text: an identifier that needs no thought, in the case in which it is written
    case $1 in '' | [!A-Za-z_]* | *[!A-Za-z0-9_]*) return 1 ;; esac
    [ "${#1}" -le 63 ]
}

site_value() { # name default: what the site's inventory says of this host
    found=$(printf '%s' "$parameters" | sed -n "s/^$1=//p")
    printf '%s' "${found:-$2}"
}
