#!/bin/bash
# Runs in the guest of test-service.sh after guest-service.sh: follows what docs/FLIGHT.md says of a service, has a service fail
# and the recorder killed, and checks the dumps.  guest-flight.sh

set -euo pipefail
source "$(dirname "$0")/lib.sh"

dumps=/var/lib/scapd

# dumps_of: prints the reasons of the triggers in all dumps.
dumps_of() {
	local file

	for file in "$dumps"/*.scap; do
		[ ! -e "$file" ] || scapd read --all --json "$file" evt.type = notification
	done | jq -r 'select(.args.id == "scapd.trigger") | .args.desc | capture("reason=(?<reason>.*)").reason'
}

# has_dump REASON: waits until a dump has this reason.
has_dump() {
	local _

	for _ in $(seq 100); do
		dumps_of >/tmp/reasons
		! grep -qF -- "$1" /tmp/reasons || return 0
		sleep 0.3
	done
	cat /tmp/reasons
	return 1
}

# The service that guest-service.sh has left with a mistake, without that and its captures.
rm -f /etc/scapd/config.d/50-local.toml "$dumps"/*
systemctl reset-failed scapd
runs "start" systemctl start scapd
# The service that fails on the page.
cat >/etc/systemd/system/postgresql.service <<'END'
[Service]
ExecStart=sleep infinity
END
systemctl daemon-reload

runs "docs/FLIGHT.md, As a service" scripts/guest-follow.sh docs/FLIGHT.md 'As a service'
runs "a dump by hand" has_dump 'the site is slow'
runs "a dump that a program asks for" has_dump 'assertion failed'

systemctl start postgresql
kill -SEGV "$(systemctl show postgresql --value --property=MainPID)"
runs "a dump as a program crashes" has_dump 'evt.type = procexit and evt.arg.sig in'
runs "and as its unit fails" has_dump 'postgresql.service has failed'
runs "the dumps are complete" quietly scapd verify "$dumps"/*.scap

pid=$(systemctl show scapd --value --property=MainPID)
runs "the window is in its file" test -f "$dumps/window"
before=$(find "$dumps" -name '*.scap' | wc -l)
kill -KILL "$pid"
# restarted: whether another process of the service records.
restarted() {
	[ "$(systemctl is-active scapd)" = active ] && [ "$(systemctl show scapd --value --property=MainPID)" != "$pid" ]
}
for _ in $(seq 400); do
	! restarted || break
	sleep 0.3
done
runs "systemd starts it again" restarted || journalctl -u scapd -n 20
same "the window of the one that was killed is a capture" $((before + 1)) "$(find "$dumps" -name '*.scap' | wc -l)"
newest=$(find "$dumps" -name '*.scap' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
scapd info "$newest" >/tmp/info 2>&1 || true
has "which says that it was not closed" /tmp/info 'not closed'
finish
