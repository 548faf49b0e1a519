#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Write the manual pages that would otherwise say twice what is said elsewhere, so that they cannot
# fall behind it.
# Usage: man-pages.sh conf CONFIGURATION.md        facenetd.conf(5), from the page in docs/
#        man-pages.sh model PROGRAM                facenet-model(1), from what its commands say of themselves
set -euo pipefail

# Text for roff: backslashes are its escapes, a dot or a quote that begins a line its commands, and a
# bare hyphen is not what people type.
escape='
function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    return text ~ /^[.\x27]/ ? "\\&" text : text
}'

# Markdown as far as docs/configuration.md uses it: a table of keys, headings, paragraphs, `words` and
# indented blocks. The table of flags is left to facenetd(8).
conf() {
    cat <<'END'
.\" Made by scripts/man-pages.sh of docs/configuration.md
.TH FACENETD.CONF 5 "" facenetd "File formats"
.SH NAME
facenetd.conf \- configuration of facenetd
.SH DESCRIPTION
END
    awk "$escape"'
    function words(text,   parts, n, i, out) {
        n = split(text, parts, "`")
        for (i = 1; i <= n; i++)
            out = out (i % 2 ? roff(parts[i]) : "\\fB" roff(parts[i]) "\\fP")
        return out
    }
    function trim(text) { gsub(/^ +| +$/, "", text); return text }
    function block(wanted) {
        if (wanted != inside) print wanted ? ".nf" : ".fi"
        inside = wanted
    }
    BEGIN { keys = headed = 1 }
    /^# / { next }
    /^## / { block(0); blank = after = 0; headed = 1; print ".SH", toupper(roff(substr($0, 4))); next }
    /^\| flag / { keys = 0 }
    /^\| key / { print ".SH KEYS OF THE FILE" }
    /^\| key |^\|---/ { next }
    /^\|/ {
        if (!keys) next
        n = split($0, cell, "|")
        print ".TP"
        print words(trim(cell[2]))
        print words(toupper(substr(trim(cell[5]), 1, 1)) substr(trim(cell[5]), 2)) "."
        line = words("Default " trim(cell[3]))
        if (trim(cell[4]) != "") line = line "; " words(trim(cell[4]))
        print line "."
        after = 1
        next
    }
    /^    / { block(1); print roff(substr($0, 5)); next }
    /^$/ { block(0); blank = 1; next }
    {
        block(0)
        if (after) print ".SH NOTES"
        else if (blank && !headed) print ".PP"
        after = blank = headed = 0
        print words($0)
    }' "$1"
    cat <<'END'
.SH SEE ALSO
.BR facenetd (8),
.BR facenet\-model (1)
END
}

model() {
    local program=$1 name rest
    cat <<'END'
.\" Made by scripts/man-pages.sh of what facenet-model says
.TH FACENET-MODEL 1 "" facenetd "User commands"
.SH NAME
facenet-model \- make, measure and inspect the models that facenetd serves
.SH SYNOPSIS
.B facenet\-model
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
.B facenet\-model
reads trained FaceNet weights, folds and quantizes them, and writes the one file that
.BR facenetd (8)
serves.
.SH COMMANDS
END
    "$program" help | awk '/^  [a-z]/ { print $1 }' | while read -r name; do
        "$program" "$name" --help | awk "$escape"'
        NR == 1 { sub(/^Usage: facenet-model /, ""); print ".SS \"" roff($0) "\""; next }
        /^  [^ ]/ {
            at = match(substr($0, 3), /   *[^ ]/)
            print ".TP"
            print at ? ".B \"" roff(substr($0, 3, at - 1)) "\"" : ".B \"" roff(substr($0, 3)) "\""
            if (at) { rest = substr($0, at + 2); sub(/^ +/, "", rest); print roff(rest) }
            next
        }
        NF { sub(/^ +/, ""); print roff($0) }'
    done
    cat <<'END'
.SH EXAMPLES
.nf
facenet\-model quantize WEIGHTS \-\-calibration PICTURES \-o /var/lib/facenetd/model.safetensors
facenet\-model info /var/lib/facenetd/model.safetensors
facenet\-model verify /var/lib/facenetd/model.safetensors
.fi
.SH EXIT STATUS
0 when it was done, 1 when it could not be, 2 for wrong usage.
.SH SEE ALSO
.BR facenetd (8),
.BR facenetd.conf (5);
sources.md and model\-format.md in
.IR /usr/share/doc/facenetd .
END
}

case ${1:-} in
conf | model) "$1" "$2" ;;
*)
    echo "usage: man-pages.sh conf CONFIGURATION.md | model PROGRAM" >&2
    exit 2
    ;;
esac
