# PostgreSQL's error codes in words: the database's own words may hold patients' data, so only the code leaves the host.

meaning_of() { # SQLSTATE: what happens often, in words (PostgreSQL 15, appendix A)
    case $1 in
        0A000) printf 'the statements try what they may not, such as to end the transaction or to copy to a client' ;;
        2D000) printf 'the statements try to end the transaction' ;;
        55P03) printf 'a table is in use and was not free within %s s' "$lock_seconds" ;;
        40P01 | 40001) printf 'somebody else changed the same rows' ;;
        57014) printf 'it took longer than %s s, or was stopped' "$statement_seconds" ;;
        42501) printf 'the role may not do this' ;;
        23*) printf 'a constraint of the database refuses the result' ;;
        57P0* | 08*) printf 'the connection to the database was lost' ;;
        *) printf 'the database refused' ;;
    esac
}
