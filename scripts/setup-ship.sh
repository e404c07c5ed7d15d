#!/bin/bash
# Installs what tests of `scapd ship` ship to, and read with, into the cache (see lib.sh): s3s-fs, a server of S3's protocol that
# keeps objects as files, from crates.io, and DuckDB from PyPI. Remove the directories to get newer versions.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

need flock cargo
python3 -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/apt-install.sh" python3-venv
mkdir -p "$cache"
exec 9>"$cache/lock-ship"
flock 9
[ -d "$cache/s3s-fs" ] || {
	# The last version that builds with the Rust of Cargo.toml.
	cargo install s3s-fs --version 0.13.0-alpha.3 --features binary --locked --debug --root "$cache/s3s-fs.new"
	mv "$cache/s3s-fs.new" "$cache/s3s-fs"
}
[ -d "$cache/ship" ] || {
	rm -rf "$cache/ship.new"
	python3 -m venv "$cache/ship.new"
	"$cache/ship.new/bin/python" -m pip install --quiet --disable-pip-version-check 'duckdb>=1.4'
	# By its path, so that the environment may be renamed.
	mv "$cache/ship.new" "$cache/ship"
}
