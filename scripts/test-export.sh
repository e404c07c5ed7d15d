#!/bin/bash
# Exports a capture, reads the tables back by DuckDB and by Spark, and compares them with what scapd says. Runs the queries of
# docs/EXPORT.md in both. Records the capture itself; others can be given. Needs root, and what setup-export.sh installs.
#
#   test-export.sh SCAPD [CAPTURE...]

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# = 0 ] || [ ! -x "$1" ]; then die "usage: test-export.sh SCAPD [CAPTURE...] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
shift
given=()
for capture; do given+=("$(realpath "$capture")"); done
scripts=$(realpath "$(dirname "$0")")
python=$cache/export/bin/python
[ -x "$python" ] || die "$python is missing: run scripts/setup-export.sh"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
export TZ=UTC

# A script that runs programs, writes files with odd names, talks to itself, and fails.
cat >workload.sh <<'END'
seq 3000 > 'a "b", c
d'
gzip < a* > numbers.gz
cat nothing nowhere
printf x > "$(printf 'odd\377\033[31m')"
rm a*
perl -MIO::Socket::INET -e '
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1");
	my $port = $listener->sockport;
	if (!fork) { my $client = IO::Socket::INET->new("127.0.0.1:$port"); print $client "hello\n"; exit 3 }
	my $server = $listener->accept;
	print <$server>;
	wait;
	IO::Socket::INET->new("127.0.0.1:1");
'
sh -c 'kill -9 $$'
true
END

# compare CAPTURE: prints a line for each check, of its result and its name, with a tab between.
compare() {
	local result text

	while IFS=$'\t' read -r result text; do
		case $result in
		ok) ok "$text" ;;
		*) not_ok "$text" ;;
		esac
	done < <("$python" "$scripts/export.py" "$scapd" "$1" "$scripts/../docs/EXPORT.md" 2>errors ||
		printf 'not ok\texport.py fails: %s\n' "$(tail -n 1 errors)")
}

mkdir recorded && cd recorded
if runs "record" "$scapd" record -q -w install.scap -- sh ../workload.sh >/dev/null 2>&1; then
	compare install.scap
else
	not_ok "the workload cannot be recorded"
fi
for capture in "${given[@]}"; do
	mkdir "../given-${#given[@]}-$(basename "$capture")" && cd "../given-${#given[@]}-$(basename "$capture")"
	compare "$capture"
done

finish
