#!/bin/bash
# Ships recorded captures to a server of S3's protocol that is killed in the middle of an upload, compares what arrives, opens it
# by scapd and by sysdig if setup-readers.sh has fetched it, and runs the queries of docs/SHIP.md over it. Needs root, and what
# setup-ship.sh installs. Everything stays on the loopback interface.
#
#   test-ship.sh SCAPD

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-ship.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need sha256sum
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")
server=$cache/s3s-fs/bin/s3s-fs python=$cache/ship/bin/python
if [ ! -x "$server" ] || [ ! -x "$python" ]; then die "the server or DuckDB is missing: run scripts/setup-ship.sh"; fi

tmp=$(mktemp -d)
store=
trap 'stop_store; rm -rf "$tmp"' EXIT
cd "$tmp"
export TZ=UTC
port=$((20000 + RANDOM % 10000))
export AWS_ACCESS_KEY_ID=key AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1
export AWS_ENDPOINT=http://127.0.0.1:$port AWS_ALLOW_HTTP=true
to=s3://captures/fleet
mkdir -p root/captures

start_store() {
	"$server" --host 127.0.0.1 --port "$port" --access-key key --secret-key secret root >>store.log 2>&1 &
	store=$!
	# Until it accepts a connection.
	for _ in $(seq 100); do
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
		sleep 0.1
	done
	die "the store does not start: $(tail -n 1 store.log)"
}

stop_store() {
	[ -z "$store" ] || { kill -9 "$store" && wait "$store"; } 2>/dev/null || true
	store=
}

# objects: prints the names of the objects. The server also has files of its own, with a dot.
objects() { (cd root/captures && find fleet -type f 2>/dev/null | sort); }

# sums DIR: prints the checksums and names of the captures in it.
sums() { find "$1" -name '*.scap' -exec sha256sum {} + | sed 's,  .*/, ,' | sort; }

# A file with data for each capture, so that it is sent in several parts.
head -c 20000000 /dev/urandom >data
record() { "$scapd" record -q -w "$1" -C 1G --write-manifest --snaplen 16000 -- dd if=data of=/dev/null bs=16000 "count=$2" 2>/dev/null; }
mkdir local
for number in 1 2 3; do record "local/small-$number.scap" 20; done
# Of 40 MiB: five parts.
record local/large.scap 1250
record local/large.scap 1250
before=$(sums local)
echo "$(echo "$before" | wc -l) captures, $(du -sh local | cut -f 1)"

# Without a store: nothing is shipped, and it is said what to do.
status=0
"$scapd" ship local --to "$to" --retry 1s --delete >out 2>err || status=$?
same "without a store, the exit status is 1" 1 "$status"
has "and it says what to do" err 'cannot ship .*run .scapd ship. again'
same "and nothing is deleted" "$before" "$(sums local)"

# Killed and started again in the middle of an upload; the second time, scapd is killed as well.
start_store
"$scapd" ship local --to "$to" --retry 60s >out 2>err &
shipper=$!
mark() { find local -name '*.shipping' -exec cat {} + 2>/dev/null | head -c 1; }
for _ in $(seq 600); do [ -z "$(mark)" ] || break; sleep 0.02; done
same "a large file is being sent" '{' "$(mark)"
stop_store
sleep 1
start_store
for _ in $(seq 600); do
	if [ "$(find local -name 'large*.shipped' | wc -l)" = 1 ] && [ -n "$(mark)" ]; then break; fi
	sleep 0.02
done
kill -9 "$shipper"
wait "$shipper" 2>/dev/null || true
same "the upload went on when the store was back" 1 "$(find local -name 'large*.shipped' | wc -l)"
shipping=$(find local -name '*.shipping')
runs "the second one was broken off" test -n "$shipping"
same "objects are there as a whole or not at all" 0 "$(comm -13 <(echo "$before") <(sums root/captures/fleet) | wc -l)"
stop_store
start_store
check "the next one ships the rest" "$scapd" ship local --to "$to" >out 2>err
same "it ships the large one, which goes on" 1 "$(grep -c -- '-> fleet/captures/' out)"
same "every object is the file" "$before" "$(sums root/captures/fleet)"
same "every capture has a manifest" "$(objects | grep 'scap$' | sed 's/$/.json/')" "$(objects | grep 'json$')"
same "by host, date and hour" 0 "$(objects | grep -cvE "^fleet/captures/host=$(uname -n)/date=[0-9-]{10}/hour=[0-9]{2}/[^/]+$" || true)"

# Nothing is sent twice: the times of the objects stay.
times() { (cd root/captures && find fleet -type f -printf '%p %T@\n' | sort); }
sent=$(times)
check "shipping again" "$scapd" ship local --to "$to" >out 2>err
has "has nothing to do" out '^0 shipped .*, 5 there already'
rm local/*.shipped
check "nor without what was remembered" "$scapd" ship local --to "$to" >out 2>err
same "nothing was sent again" "$sent" "$(times)"

# An object that is lost is sent again before its file is deleted.
lost=$(objects | grep 'small-1.*scap$')
rm "root/captures/$lost"
check "deleting" "$scapd" ship local --to "$to" --delete --json >out 2>err
has "deletes all that has arrived" out '"deleted": 5'
same "after it has sent again what was lost" "$before" "$(sums root/captures/fleet)"
same "and nothing is left" .scapd-ship "$(ls -A local)"

for object in $(objects | grep 'scap$'); do
	check "scapd info opens $(basename "$object")" quietly "$scapd" info "root/captures/$object"
	status=0
	"$scapd" verify "root/captures/$object" >verified || status=$?
	# A debug build may lose events of the large ones; that is no damage.
	runs "and scapd verify finds no damage" test "$status" = 0 -o "$status" = 7
done
if [ -d "$cache/readers-sid" ]; then
	object=$(objects | grep 'small-1.*scap$')
	events=$("$scripts/reader.sh" sid sysdig -r "root/captures/$object" evt.type=read 2>/dev/null | wc -l)
	# It hides enter events.
	same "sysdig reads as many reads as scapd" "$("$scapd" read "root/captures/$object" 'evt.type = read and evt.dir = <' | wc -l)" "$events"
fi

# A service's folder: a recorder writes, --watch ships and deletes.
mkdir watched
"$scapd" ship watched --watch --every 1s --delete --as both --to "$to" >watch.out 2>watch.err &
shipper=$!
"$scapd" record -q -w watched/live.scap -G 2s --write-manifest --duration 7s >/dev/null 2>&1 -- sh -c 'while :; do cat /etc/passwd >/dev/null; sleep 0.1; done' || true
for _ in $(seq 300); do
	if [ "$(ls -A watched)" = .scapd-ship ]; then break; fi
	sleep 0.2
done
kill -TERM "$shipper"
status=0
wait "$shipper" || status=$?
same "--watch ends at a signal" 0 "$status"
same "and has shipped all files" .scapd-ship "$(ls -A watched)"
runs "of which there are some" test "$(objects | grep -c 'captures/.*live.*scap$')" -ge 3

# The queries of the page, over what was shipped.
"$python" - "$scripts/../docs/SHIP.md" root/captures/fleet "$(uname -n)" >queries 2>errors <<'END' || not_ok "the queries fail: $(tail -n 1 errors)"
import re, sys
import duckdb
page, place, host = open(sys.argv[1]).read(), sys.argv[2], sys.argv[3]
queries = re.findall(r"```sql\n-- DuckDB: ([^\n]+)\n(.*?)```", page, re.S)
assert queries, "no query"
for name, query in queries:
    query = query.replace("s3://captures/fleet", place).replace("web-17", host).replace("2026-11-28", "%s")
    date = duckdb.sql(f"SELECT max(date)::VARCHAR FROM read_parquet('{place}/events/**/*.parquet', hive_partitioning = true)").fetchall()[0][0]
    rows = duckdb.sql(query.replace("%s", date)).fetchall()
    print(f"{len(rows)} rows: {name}")
    assert rows, f"no rows: {name}"
END
while read -r line; do ok "DuckDB: $line"; done <queries

finish
