#!/bin/bash
# Records a workload, makes a page of it with `scapd report`, and opens that in Debian's chromium: the numbers on the page are those of
# `scapd top`, also of times that are selected there, and nothing of the capture runs.  test-report.sh SCAPD [IMAGES]
# With IMAGES, the pictures of the page are written to that folder. Needs root, and the browser of setup-browser.sh.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# -lt 1 ] || [ ! -x "$1" ]; then die "usage: test-report.sh SCAPD [IMAGES]"; fi
scripts=$(realpath "$(dirname "$0")")
scapd=$(realpath "$1")
images=${2:+$(realpath "$2")}
need perl jq
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
mkdir work pictures

as_root "$scapd" record -q -w a.scap -- "$scripts/report-workload.sh" work >/dev/null
as_root chown "$(id -u)" a.scap
runs "a report of it" "$scapd" report a.scap -o report.html
cp "$scripts/test-report.py" .

# top ARG...: what scapd top says.
top() { "$scapd" top a.scap -n 0 --json "$@"; }

export TZ=UTC
timeout 300 "$scripts/reader.sh" browser python3 test-report.py >said.json || die 'the browser has failed'
same "no error, and nothing that the policy forbids" '[]' "$(jq -c .errors said.json)"
same "nothing of the capture has run" false "$(jq -c .has_run said.json)"
same "the page has no element of the capture's" 0 "$(jq -c .foreign said.json)"
same "no request leaves the page" 0 "$(jq -c .requests said.json)"
same "hostile names are there as text" true "$(jq -c .has_names said.json)"
same "it has a number for each of these" "calls errors processes read time written" \
	"$(jq -r '.whole.cards | keys | join(" ")' said.json)"

# compare WHAT: compares the numbers of a selection with those of scapd top.
compare() {
	local part=.$1 command

	# The words that the page says print the same.
	command=$(jq -r "$part.command" said.json)
	same "$2: the command is one of scapd top" "scapd top a.scap" "${command%% --*}"
	# shellcheck disable=SC2086 # words
	top ${command#scapd top a.scap} >top.json
	same "$2: calls, failures, time and bytes" \
		"$(jq -c '.total | [.calls, .errors, .total_ns, .in_bytes, .out_bytes]' top.json)" \
		"$(jq -c "$part.cards | [.calls, .errors, .time, .read, .written]" said.json)"
	same "$2: each call" \
		"$(jq -c '[.groups[] | select(.calls > 0) | [.keys.call, .calls, .errors, .total_ns // 0]] | sort' top.json)" \
		"$(jq -c "[$part.calls[] | select(.[1] > 0)] | sort" said.json)"
}
compare whole "the whole capture"
compare dragged "a time selected with the mouse"
compare keyed "a time selected with the keyboard"
same "a selection is a part" true "$(jq '.dragged.cards.calls > 0 and .dragged.cards.calls < .whole.cards.calls' said.json)"
same "another one is another part" true "$(jq '.keyed.command != .dragged.command' said.json)"
same "Escape selects all again" true "$(jq '.again.cards == .whole.cards' said.json)"
same "the charts follow" true "$(jq .charts_follow said.json)"
same "print: in light colours, all sections" true "$(jq .prints said.json)"
for picture in report{,-wide,-dark,-narrow,-print}.png report.pdf; do check "a picture: $picture" test -s "pictures/$picture"; done
[ -z "$images" ] || cp pictures/* "$images"
finish
