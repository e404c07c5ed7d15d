#!/bin/bash
# Runs in the guest of test-service.sh: does what a page says, command by command.  guest-follow.sh PAGE
#
# In the page's blocks of kind 'console', a line that begins with '# ' is a command of root's; with a here-document, it
# goes on to the line of its END. Lines below are its output, each of which must come; below `systemctl edit` they are
# what is typed into the editor. A command that does not succeed ends the run.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

page=$1
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0 SYSTEMD_EDITOR=/tmp/editor
# shellcheck disable=SC2016 # for that sh
printf '#!/bin/sh\ncp /tmp/below "$1"\n' >/tmp/editor
chmod +x /tmp/editor

# follow COMMAND: runs it; what is in /tmp/below is its output, or what is typed.
follow() {
	local expected run

	printf '# %s\n' "$1"
	# An editor wants a terminal.
	run=(bash -o pipefail -c "$1")
	[[ $1 != 'systemctl edit '* ]] || run=(script -qec "$1" /dev/null)
	runs "${1%%$'\n'*}" "${run[@]}" >/tmp/output 2>&1 </dev/null || {
		cat /tmp/output
		return 1
	}
	cat /tmp/output
	[[ $1 == 'systemctl edit '* ]] || while IFS= read -r expected; do
		runs "it says: $expected" grep -qxF -- "$expected" <(sed '$d' /tmp/output)
	done </tmp/below
}

command='' end='' within=''
: >/tmp/below
while IFS= read -r line; do
	if [ -n "$end" ]; then
		command+=$'\n'$line
		[ "$line" != "$end" ] || end=''
	elif [ "$line" = '```console' ]; then
		within=yes
	elif [ -z "$within" ]; then
		continue
	elif [[ $line == '# '* || $line == '```' ]]; then
		[ -z "$command" ] || follow "$command"
		command='' within=yes
		: >/tmp/below
		if [ "$line" = '```' ]; then within=''; else command=${line#'# '}; fi
		[[ $command != *"<<'END'" ]] || end=END
	else
		echo "$line" >>/tmp/below
	fi
done <"$page"
finish
