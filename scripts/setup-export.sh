#!/bin/bash
# Installs the programs that read exports in tests: DuckDB, Spark and Perfetto's schema, from PyPI, into an environment of their
# own in the cache (see lib.sh). Remove the directory to get newer versions. Spark needs Java, which is installed by apt.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

need flock
command -v java >/dev/null || "$(dirname "$0")/apt-install.sh" default-jre-headless
python3 -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/apt-install.sh" python3-venv
mkdir -p "$cache"
exec 9>"$cache/lock-export"
flock 9
[ -d "$cache/export" ] || {
	rm -rf "$cache/export.new"
	python3 -m venv "$cache/export.new"
	"$cache/export.new/bin/python" -m pip install --quiet --disable-pip-version-check 'duckdb>=1.4' 'pyspark>=4.0' 'perfetto>=0.16'
	# By its path, so that the environment may be renamed.
	mv "$cache/export.new" "$cache/export"
}
