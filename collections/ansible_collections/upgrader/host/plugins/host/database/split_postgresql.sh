# Which statements a file holds, as PostgreSQL's lexer parts them (PostgreSQL 15, 4.1): quotes, dollar quotes, nested comments,
# parentheses, and the bodies of SQL functions between BEGIN ATOMIC and END.

# Each statement becomes FOLDER/NNNN.sql, its first line the number in FOLDER/lines; false, and why in $output, for what is no plain SQL.
db_split() { # file folder
    rm -rf "$2"
    (umask 077 && mkdir "$2") || return 1
    awk -v folder="$2" '
        function put(text) { statement = statement text }
        function finish() {
            if (begun) {
                if (tolower(statement) ~ /^copy[ \t\n].*[ \t\n]from[ \t\n]+stdin/) refuse("rows from a client (COPY FROM STDIN) are no statement")
                number++
                file = sprintf("%s/%04d.sql", folder, number)
                printf "%s", statement >file
                close(file)
                print number, begun >(folder "/lines")
            }
            statement = ""; begun = words = parens = blocks = routine = 0
        }
        function refuse(why) { print why " (line " FNR ")" >"/dev/stderr"; bad = 1; exit 1 }
        function token() { if (!begun) { begun = FNR; statement = "" } }
        {
            rest = $0
            while (rest != "") {
                if (inside == "/*") {
                    open = index(rest, "/*"); shut = index(rest, "*/")
                    if (shut && (!open || shut < open)) { put(substr(rest, 1, shut + 1)); rest = substr(rest, shut + 2); if (--depth == 0) inside = "" }
                    else if (open) { put(substr(rest, 1, open + 1)); rest = substr(rest, open + 2); depth++ }
                    else { put(rest); rest = "" }
                } else if (inside == "E") {
                    if (!match(rest, /[\\\047]/)) { put(rest); rest = ""; continue }
                    if (substr(rest, RSTART, 1) == "\\") { put(substr(rest, 1, RSTART + 1)); rest = substr(rest, RSTART + 2) }
                    else if (substr(rest, RSTART + 1, 1) == "\047") { put(substr(rest, 1, RSTART + 1)); rest = substr(rest, RSTART + 2) }
                    else { put(substr(rest, 1, RSTART)); rest = substr(rest, RSTART + 1); inside = "" }
                } else if (inside != "") { # a doubled quote closes and opens again, which comes to the same
                    at = index(rest, inside)
                    if (!at) { put(rest); rest = ""; continue }
                    put(substr(rest, 1, at + length(inside) - 1)); rest = substr(rest, at + length(inside)); inside = ""
                } else if (match(rest, /^[ \t\r\f]+/)) {
                    put(substr(rest, 1, RLENGTH)); rest = substr(rest, RLENGTH + 1)
                } else if (substr(rest, 1, 2) == "--") {
                    put(rest); rest = ""
                } else if (substr(rest, 1, 2) == "/*") {
                    put("/*"); rest = substr(rest, 3); inside = "/*"; depth = 1
                } else if (match(rest, /^[A-Za-z_][A-Za-z0-9_$]*/)) {
                    token(); word = tolower(substr(rest, 1, RLENGTH)); put(substr(rest, 1, RLENGTH)); rest = substr(rest, RLENGTH + 1)
                    words++
                    if (words == 1 && word == "create") routine = 1
                    if (words <= 4 && routine == 1 && (word == "function" || word == "procedure")) routine = 2
                    if (routine == 2 && !parens) {
                        if (word == "begin") blocks++
                        else if (word == "case" && blocks) blocks++
                        else if (word == "end" && blocks) blocks--
                    }
                    if (word == "e" && substr(rest, 1, 1) == "\047") { put("\047"); rest = substr(rest, 2); inside = "E" }
                } else if (match(rest, /^\$([A-Za-z_][A-Za-z0-9_]*)?\$/)) {
                    token(); inside = substr(rest, 1, RLENGTH); put(inside); rest = substr(rest, RLENGTH + 1)
                } else {
                    one = substr(rest, 1, 1); rest = substr(rest, 2)
                    if (one == "\\") refuse("a command of psql is no statement")
                    if (one == ";" && parens <= 0 && blocks == 0) { finish(); continue }
                    token(); put(one)
                    if (one == "(") parens++
                    if (one == ")") parens--
                    if (one == "\047" || one == "\"") inside = one
                }
            }
            put("\n")
        }
        END {
            if (bad) exit 1
            if (inside != "") refuse("a quote or a comment has no end")
            finish()
            if (!number) refuse("there is no statement")
        }' "$1" 2>"$output"
}
