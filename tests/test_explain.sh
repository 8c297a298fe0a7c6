#!/usr/bin/env bash
# test_explain.sh - `wsring explain`: what it says, at any width, to terminals, pipes and programs, and when it refuses.
#
#   tests/test_explain.sh BUILD_DIR|WSRING
#
# shellcheck disable=SC2317,SC2016   # functions and words are called through `check`
set -u

wsring=${WSRING:-}
if [ -n "${1:-}" ]; then
    if [ -d "$1" ]; then wsring=$1/wsring; else wsring=$1; fi
fi
if [ ! -x "$wsring" ]; then
    echo "not ok there is no command: '$wsring'"
    exit 1
fi

failed=0
check()
{
    local what=$1
    shift
    if "$@"; then echo "ok $what"; else echo "not ok $what"; failed=1; fi
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset COLUMNS NO_COLOR
export TERM=xterm

explain() { "$wsring" explain "$@"; }
has() { grep -qF -- "$2" <<<"$1"; }
escapes() { grep -q $'\033' "$1"; }

# --- One code, and two ---------------------------------------------------------------------------------------------------

page=$(explain 1001)
one_code_has_everything()
{
    local label
    for label in '1001 Going Away' 'Meaning ' 'Appears ' 'How to fix' 'Reconnect ' 'On wire ' 'Send it ' 'RFC 6455'; do
        has "$page" "$label" || { echo "# missing: $label"; return 1; }
    done
}
check 'one code: meaning, when it appears, how to fix, whether to reconnect' one_code_has_everything

words=$(COLUMNS=110 explain 1000 1001)
pair_is_side_by_side()
{
    has "$(head -n 1 <<<"$words")" '1000 Normal Closure' && has "$(head -n 1 <<<"$words")" '1001 Going Away' &&
        grep -qE '^Reconnect +No: .* Yes: ' <<<"$words"
}
check '1000 and 1001 stand side by side' pair_is_side_by_side
pair_says_what_differs()
{
    has "$words" 'What differs, and which to use when' && has "$words" '1000: no; 1001: yes, with backoff' &&
        grep -q '^Use 1000 ' <<<"$words" && grep -q '^Use 1001 ' <<<"$words"
}
check '... with what differs, and which to use when' pair_says_what_differs
# The page this project is about: 1000 needs no fix but a look for a premature close(); 1001 reconnects with backoff.
says_the_page()
{
    local flat
    flat=$(explain 1000 | tr -s ' \n' ' ') && has "$flat" 'Nothing needs fixing' && has "$flat" 'premature close()' &&
        flat=$(explain 1001 | tr -s ' \n' ' ') && has "$flat" 'reconnects by itself, with exponential backoff'
}
check '... and the answers of the page' says_the_page
check 'a narrow screen gets one after the other' test "$(COLUMNS=60 explain 1000 1001 | grep -c '^Meaning')" = 2
check 'the same code twice is one code' test "$(explain 1000 1000)" = "$(explain 1000)"
check 'three codes come one after the other' test "$(explain 1000 1001 1012 | grep -c '^Meaning')" = 3

names_work()
{
    local name
    for name in going-away 'Going Away' GOING_AWAY goingaway; do
        [ "$(explain "$name")" = "$(explain 1001)" ] || { echo "# $name"; return 1; }
    done
}
check 'names stand for codes' names_work
check 'a code of a range shows the range' has "$(explain 4242)" '4242 Private use (4000-4999)'

# --- Every code, every width ----------------------------------------------------------------------------------------------

explain --list >"$work/list"
check 'the list has a heading and 26 rows' test "$(wc -l <"$work/list")" = 27
check 'the list fits in 80 columns' test "$(awk 'length > 80' "$work/list" | wc -l)" = 0
list_has_no_hole()
{
    awk 'NR > 1 { n = split($1, r, "-"); if (r[1] != next_code) exit 1; next_code = r[n] + 1 } END { exit next_code != 65536 }' "$work/list"
}
check 'the list covers 0 to 65535 without a hole' list_has_no_hole

fits_every_width()
{
    local width codes
    codes=$(awk 'NR > 1 { split($1, r, "-"); print r[1] }' "$work/list")
    for width in 40 55 71 72 80 97 110; do
        # shellcheck disable=SC2086
        { COLUMNS=$width explain $codes; COLUMNS=$width explain 1010 1015; COLUMNS=$width explain 3001 5000; } >"$work/wide" || return 1
        if awk -v w="$width" 'length > w { print "# " w ": " $0; bad = 1 } END { exit !bad }' "$work/wide"; then return 1; fi
    done
}
check 'no line is wider than the screen' fits_every_width
nothing_is_lost()
{
    local width wide narrow
    wide=$(COLUMNS=110 explain 1006 | tr -s ' \n' ' ')
    for width in 40 55 80; do
        narrow=$(COLUMNS=$width explain 1006 | tr -s ' \n' ' ')
        [ "$wide" = "$narrow" ] || return 1
    done
}
check 'wrapping loses no word' nothing_is_lost
check 'no line ends in a space' test "$(explain 1000 1001 | grep -c ' $')" = 0

# --- Colour, and programs -------------------------------------------------------------------------------------------------

explain 1000 1001 >"$work/plain"
check 'a pipe gets no colour' eval '! escapes "$work/plain"'
explain --color=always 1000 1001 >"$work/coloured"
check '--color=always gives it' escapes "$work/coloured"
check '... and changes nothing else' test "$(sed $'s/\033\\[[0-9]*m//g' "$work/coloured")" = "$(cat "$work/plain")"

on_a_terminal() { script -qec "$*" /dev/null >"$work/tty" </dev/null; }
if command -v script >/dev/null; then
    on_a_terminal "$wsring" explain 1000
    check 'a terminal gets colour' escapes "$work/tty"
    on_a_terminal env NO_COLOR=1 "$wsring" explain 1000
    check 'NO_COLOR is respected' eval '! escapes "$work/tty"'
    on_a_terminal env TERM=dumb "$wsring" explain 1000
    check 'a dumb terminal is spared' eval '! escapes "$work/tty"'
else
    echo 'ok colour on a terminal # SKIP script (bsdutils) is not installed'
fi

explain --json 1000 1001 4242 >"$work/json"
json_is_right()
{
    python3 - "$work/json" <<'PYTHON'
import json, sys
rows = json.load(open(sys.argv[1]))
assert [r["code"] for r in rows] == [1000, 1001, 4242]
assert rows[0]["name"] == "Normal Closure" and rows[0]["retry"] == "never"
assert rows[1]["retry"] == "backoff" and rows[1]["server_may_send"] is True
assert (rows[2]["first"], rows[2]["last"], rows[2]["retry"]) == (4000, 4999, "ask")
assert all(r[k] for r in rows for k in ("meaning", "appears", "fix", "use", "retry_text", "source"))
PYTHON
}
check '--json is JSON with everything in it' json_is_right
explain --json --list >"$work/json"
json_list_is_right()
{
    python3 - "$work/json" <<'PYTHON'
import json, sys
rows = json.load(open(sys.argv[1]))
assert rows[0]["first"] == 0 and rows[-1]["last"] == 65535
assert all(a["last"] + 1 == b["first"] for a, b in zip(rows, rows[1:]))
sendable = {c for r in rows for c in range(r["first"], r["last"] + 1) if r["client_may_send"]}
assert sendable == {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
server = {c for r in rows for c in range(r["first"], r["last"] + 1) if r["server_may_send"]}
assert server == sendable - {1010}
assert [r["first"] for r in rows if r["local_only"]] == [1005, 1006, 1015]
PYTHON
}
check '--json --list too' json_list_is_right

# --- What it refuses --------------------------------------------------------------------------------------------------------

refuses()
{
    local out status
    out=$(explain "$@" 2>"$work/err")
    status=$?
    [ "$status" -eq 2 ] && [ -z "$out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -q '^wsring explain: ' "$work/err"
}
for bad in abc 65536 99999 1000x 1e3 99999999999999999999 '' ' ' 10.00 going; do
    check "'$bad' gets one line and exit code 2" refuses "$bad"
done
check 'a good code beside a bad one does not help' refuses 1000 nonsense
check 'no code at all is refused' refuses
check '--list with a code is refused' refuses --list 1000
# shellcheck disable=SC2046
check 'too many codes are refused' refuses $(seq 1000 1040)
explain --no-such-option >/dev/null 2>&1
check 'a bad flag is exit code 2' test $? = 2
check '--help says how' has "$(explain --help)" 'going-away'
if [ -e /dev/full ]; then
    explain 1000 >/dev/full 2>"$work/err"
    check 'a full disk is exit code 1' test $? = 1
fi

exit $failed
