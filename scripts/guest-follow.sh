#!/bin/bash
# Runs in the guest of test-service.sh: does what a page says, command by command.  guest-follow.sh PAGE
#
# In the page's blocks of kind 'console', a line that begins with '# ' is a command of root's; with a here-document, it
# goes on to the line of its END. Lines below are its output, each of which must come; below `systemctl edit` they are
# what is typed into the editor, and must be in the unit then. A command that does not succeed ends the run.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

page=$1
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0 SYSTEMD_EDITOR=/tmp/editor
cat >/tmp/editor <<'EDITOR'
#!/bin/sh
# The file is the last argument.
for file; do :; done
sed -i '/^### Anything between here/r /tmp/below' "$file"
EDITOR
chmod +x /tmp/editor

# follow COMMAND: runs it, in this shell; what is in /tmp/below is its output, or what is typed.
follow() {
	local expected run=(eval "$1") result=/tmp/output

	printf '# %s\n' "$1"
	# An editor wants a terminal.
	[[ $1 != 'systemctl edit '* ]] || run=(script -qec "$1" /dev/null)
	runs "${1%%$'\n'*}" "${run[@]}" >/tmp/output 2>&1 </dev/null || {
		cat /tmp/output
		return 1
	}
	cat /tmp/output
	if [[ $1 == 'systemctl edit '* ]]; then
		systemctl cat "${1#systemctl edit }" >/tmp/unit
		result=/tmp/unit
	fi
	while IFS= read -r expected; do
		runs "$(basename "$result") has: $expected" grep -qxF -- "$expected" "$result"
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
