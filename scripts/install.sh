#!/bin/bash
# Installs scapd, or removes what it installed.  install.sh install|uninstall SCAPD (the program, built)
# Environment: DESTDIR (a prefix for every path), PREFIX (default /usr/local).
#
# The configuration is always in /etc, and an edited one is neither replaced nor removed. The captures and the user of
# the service stay, too.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ $# = 2 ] || die "usage: install.sh install|uninstall SCAPD"
action=$1 scapd=$2
top=$(dirname "$(dirname "$(realpath "$0")")")
prefix=${PREFIX:-/usr/local} dest=${DESTDIR:-}
umask 022
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# put MODE SOURCE PATH: installs a file, or removes it.
put() {
	case $action in
	install) install -Dm"$1" "$2" "$dest$3" ;;
	uninstall) rm -f "$dest$3" ;;
	*) die "'$action' is neither install nor uninstall" ;;
	esac
}

# put_default SOURCE PATH: the same, but leaves an existing or edited file alone.
put_default() {
	case $action in
	install) [ -e "$dest$2" ] || put 644 "$1" "$2" ;;
	*) ! cmp -s "$1" "$dest$2" || put 644 "$1" "$2" ;;
	esac
}

# at_prefix SOURCE: prints the path of a copy with the paths of this installation.
at_prefix() {
	sed "s,/usr/bin/scapd,$prefix/bin/scapd,g" "$1" >"$tmp/$(basename "$1")"
	echo "$tmp/$(basename "$1")"
}

if [ "$action" = install ]; then
	"$scapd" generate man "$tmp/man"
	"$scapd" generate completions "$tmp/completions"
	pages=("$tmp"/man/*)
else
	pages=("$dest$prefix"/share/man/man1/scapd.1 "$dest$prefix"/share/man/man1/scapd-*.1)
fi

put 755 "$scapd" "$prefix/bin/scapd"
for page in "${pages[@]}"; do
	put 644 "$page" "$prefix/share/man/man1/$(basename "$page")"
done
put 644 "$tmp/completions/scapd.bash" "$prefix/share/bash-completion/completions/scapd"
put 644 "$tmp/completions/_scapd" "$prefix/share/zsh/site-functions/_scapd"
put 644 "$tmp/completions/scapd.fish" "$prefix/share/fish/vendor_completions.d/scapd.fish"
put 644 "$(at_prefix "$top/packaging/scapd.service")" "$prefix/lib/systemd/system/scapd.service"
put 644 "$(at_prefix "$top/packaging/scapd-ship.service")" "$prefix/lib/systemd/system/scapd-ship.service"
put 644 "$top/packaging/scapd.sysusers" "$prefix/lib/sysusers.d/scapd.conf"
put_default "$top/packaging/scapd.toml" /etc/scapd/scapd.toml
put 644 "$top/packaging/redact.toml" "$prefix/share/doc/scapd/redact.toml"
for doc in README.md CHANGELOG.md docs/{SERVICE,FLIGHT,SHIP}.md LICENSE LICENSES/{README.md,GPL-2.0-only.txt,MIT.txt,echarts.txt}; do
	put 644 "$top/$doc" "$prefix/share/doc/scapd/$doc"
done
if [ "$action" = uninstall ]; then
	for dir in "$prefix"/share/doc/scapd/{docs,LICENSES,} /etc/scapd; do
		[ ! -d "$dest$dir" ] || rmdir --ignore-fail-on-non-empty "$dest$dir"
	done
fi
