#!/bin/bash
# Makes the Debian package of a built scapd, in target/debian/, and prints its path.  package-deb.sh SCAPD CARGO_DEB
# Needs no network.
# Environment: DEBFULLNAME, DEBEMAIL (the maintainer), SOURCE_DATE_EPOCH (its date; default: that of the last commit).

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 2 ] || [ ! -x "$1" ]; then die "usage: package-deb.sh SCAPD (the program, built) CARGO_DEB"; fi
need dpkg-shlibdeps strip
scapd=$(realpath "$1") cargo_deb=$(realpath "$2")
cd "$(dirname "$0")/.."
stage=target/package/root
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
[ -z "${DEBEMAIL:-}" ] || maintainer="${DEBFULLNAME:-scapd maintainers} <$DEBEMAIL>"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

rm -rf target/package target/debian/scapd_*.deb
DESTDIR=$stage PREFIX=/usr scripts/install.sh install "$scapd"
# Debian has its own places for these.
mv $stage/usr/share/zsh/{site-functions,vendor-completions}
rm -r $stage/usr/share/doc/scapd/LICENSE*
mv $stage/usr/share/doc/scapd/{CHANGELOG.md,changelog}
strip --strip-unneeded -R .comment -R .note $stage/usr/bin/scapd
cat >target/package/changelog <<-EOF
	scapd ($("$scapd" --version | sed 's/.* //')-1) unstable; urgency=medium

	  * See changelog.gz for what is new.

	 -- $maintainer  $(date -uRd "@$SOURCE_DATE_EPOCH")
EOF
"$cargo_deb" --no-build --no-strip --quiet --locked --offline --maintainer "$maintainer" --output target/debian/
