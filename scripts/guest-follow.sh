#!/bin/bash
# Runs in the guest of test-service.sh: runs the commands of a page, or of one section.  guest-follow.sh PAGE [HEADING]
#
# In the page's blocks of kind 'console', a line that starts with '# ' is a command for root; a here-document continues
# it to the line END. The lines below a command are lines that its output must have. Below `systemctl edit` they are the
# text typed into the editor, and the unit must have them afterwards. A command that fails ends the run.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

page=$1 heading=${2:-}
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0 SYSTEMD_EDITOR=/tmp/editor
cat >/tmp/editor <<'EDITOR'
#!/bin/sh
# The file is the last argument.
for file; do :; done
sed -i '/^### Anything between here/r /tmp/below' "$file"
EDITOR
chmod +x /tmp/editor

# follow COMMAND: runs the command in this shell; /tmp/below has its expected output, or the text to type.
follow() {
	local expected run=(eval "$1") result=/tmp/output

	printf '# %s\n' "$1"
	# An editor needs a terminal.
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

# Without a heading, all sections are followed.
command='' end='' within='' here=yes
[ -z "$heading" ] || here=''
: >/tmp/below
while IFS= read -r line; do
	if [[ -n $heading && -z $within && $line == '## '* ]]; then
		if [ "$line" = "## $heading" ]; then here=yes; else here=''; fi
	elif [ -z "$here" ]; then
		continue
	elif [ -n "$end" ]; then
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
