#!/bin/bash
# Installs scapd into a directory, checks the files, and removes it.  test-install.sh SCAPD (the program, built)

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-install.sh SCAPD (the program, built)"; fi
scripts=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export DESTDIR=$tmp/root PREFIX=/opt/scapd

# files: prints the installed files, without the manual pages of the commands.
files() { (cd "$DESTDIR" && find . -type f -printf '%m %P\n' | grep -v 'man1/scapd-' | sort -k2); }

expected='644 etc/scapd/scapd.toml
755 opt/scapd/bin/scapd
644 opt/scapd/lib/systemd/system/scapd-ship.service
644 opt/scapd/lib/systemd/system/scapd.service
644 opt/scapd/lib/sysusers.d/scapd.conf
644 opt/scapd/share/bash-completion/completions/scapd
644 opt/scapd/share/doc/scapd/CHANGELOG.md
644 opt/scapd/share/doc/scapd/LICENSE
644 opt/scapd/share/doc/scapd/LICENSES/GPL-2.0-only.txt
644 opt/scapd/share/doc/scapd/LICENSES/MIT.txt
644 opt/scapd/share/doc/scapd/LICENSES/README.md
644 opt/scapd/share/doc/scapd/LICENSES/echarts.txt
644 opt/scapd/share/doc/scapd/README.md
644 opt/scapd/share/doc/scapd/docs/FLIGHT.md
644 opt/scapd/share/doc/scapd/docs/SERVICE.md
644 opt/scapd/share/doc/scapd/docs/SHIP.md
644 opt/scapd/share/doc/scapd/redact.toml
644 opt/scapd/share/fish/vendor_completions.d/scapd.fish
644 opt/scapd/share/man/man1/scapd.1
644 opt/scapd/share/zsh/site-functions/_scapd'

# The umask must not affect the permissions.
# shellcheck disable=SC2016 # for the inner bash
runs "install" bash -c 'umask 077; exec "$@"' - "$scripts/install.sh" install "$1"
same "the files" "$expected" "$(files)"
share=$DESTDIR$PREFIX/share
has "the unit starts the installed program" "$DESTDIR$PREFIX/lib/systemd/system/scapd.service" "^ExecStart=$PREFIX/bin/scapd "
check "bash accepts its completions" bash -n "$share/bash-completion/completions/scapd"

# Each command in the program's help has a page, and a completion in each shell.
"$DESTDIR$PREFIX/bin/scapd" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p' | grep -v '^help$' >"$tmp/commands"
runs "the help lists commands" test -s "$tmp/commands"
while read -r command; do
	check "a page: $command" test -s "$share/man/man1/scapd-$command.1"
	for completion in bash-completion/completions/scapd zsh/site-functions/_scapd fish/vendor_completions.d/scapd.fish; do
		has "$command: $(dirname "$completion")" "$share/$completion" "\b$command\b"
	done
done <"$tmp/commands"
if command -v man >/dev/null; then
	for page in "$share"/man/man1/*; do
		# MANROFFSEQ: omit tbl, which causes warnings of its own.
		warnings=$(MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
		if [ -z "$warnings" ]; then ok "groff accepts $(basename "$page")"; else not_ok "$(basename "$page"): $warnings"; fi
	done
fi

echo '# mine' >>"$DESTDIR/etc/scapd/scapd.toml"
runs "install again" "$scripts/install.sh" install "$1"
has "an edited configuration stays" "$DESTDIR/etc/scapd/scapd.toml" '^# mine$'
runs "uninstall" "$scripts/install.sh" uninstall "$1"
same "only the edited configuration is left" '644 etc/scapd/scapd.toml' "$(files)"
rm "$DESTDIR/etc/scapd/scapd.toml"
runs "install" "$scripts/install.sh" install "$1"
runs "uninstall" "$scripts/install.sh" uninstall "$1"
check "nothing is left" test -z "$(find "$DESTDIR" -type f -o -name '*scapd*' ! -path "$DESTDIR$PREFIX")"
finish
