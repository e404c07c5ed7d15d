#!/bin/bash
# Runs in the guest of test-service.sh after guest-follow.sh has followed docs/SERVICE.md: installs the service again,
# and checks its rights, its reloads and its journal in detail.  guest-service.sh

set -euo pipefail
source "$(dirname "$0")/lib.sh"

local=/etc/scapd/config.d/50-local.toml
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0
# The calls expected in the captures at the end.
calls=()

property() { systemctl show scapd --value --property="$1"; }

# record NAME: writes this call into the configuration.
record() { sed -i "s/^syscalls = .*/syscalls = ['$1']/" "$local"; }

# make_calls RECORDED: calls mkdir(2) and rmdir(2), of which RECORDED is being recorded.
make_calls() {
	local folder=/tmp/scapd-test-${#calls[@]}

	mkdir "$folder"
	rmdir "$folder"
	calls+=("$1 $folder")
}

# of_process FIELD [THREAD]: prints a field of /proc/PID/status of the service.
of_process() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/task/${2:-$pid}/status" | xargs; }

# mask CAPABILITY...: prints their bits in the form of /proc.
mask() {
	local bits=0 name number

	for name; do
		number=$(systemd-analyze capability | awk -v "name=$name" '$1 == name { print $2 }')
		bits=$((bits | 1 << number))
	done
	printf '%016x\n' "$bits"
}

# threads: prints the name and the capabilities of each thread.
threads() {
	local task

	for task in "/proc/$pid/task"/*; do
		echo "$(<"$task/comm") $(of_process CapEff "${task##*/}")"
	done | sort
}

# journal: writes the lines of this run of the service, and of systemd about it, to /tmp/journal, one object on a line.
journal() {
	journalctl --sync
	journalctl -u scapd -o json | jq -c --arg run "$run" \
		'select(._SYSTEMD_INVOCATION_ID == $run or .INVOCATION_ID == $run)' >/tmp/journal
}

# logged WHAT TRANSPORT PRIORITY MESSAGE [FIELD...]: checks that the service has logged a matching line, with a number
# in each field.
logged() {
	journal
	# shellcheck disable=SC2016 # for jq
	runs "journal: $1" quietly jq -es --arg transport "$2" --arg priority "$3" --arg message "$4" --arg uid "$(id -u scapd)" '
		map(select(.SYSLOG_IDENTIFIER == "scapd" and ._UID == $uid and ._TRANSPORT == $transport and
			.PRIORITY == $priority and (.MESSAGE | test($message)))) |
		length > 0 and all(.[]; . as $line | all($ARGS.positional[]; $line[.] | tonumber >= 0))' \
		--args "${@:5}" </tmp/journal ||
		jq -r '"  \(._TRANSPORT) \(.PRIORITY) \(.SYSLOG_IDENTIFIER): \(.MESSAGE)"' /tmp/journal
}

# its_rights: checks the rights of the process once it records.
its_rights() {
	local uid gid named recording set

	uid=$(id -u scapd) gid=$(id -g scapd) recording=$(mask cap_sys_ptrace cap_dac_read_search)
	read -ra named < <(sed -n 's/^CapabilityBoundingSet=//p' packaging/scapd.service | tr '[:upper:]' '[:lower:]')
	same "it runs as the user made by sysusers" "$uid $uid $uid $uid" "$(of_process Uid)"
	same "it runs in that user's group, and in no other" "$gid $gid $gid $gid, $gid" "$(of_process Gid), $(of_process Groups)"
	same "its bounding set has the capabilities of the unit" "$(mask "${named[@]}")" "$(of_process CapBnd)"
	for set in CapPrm CapEff; do
		same "$set: only what recording takes" "$recording" "$(of_process "$set")"
	done
	for set in CapInh CapAmb; do
		same "$set: nothing for its child programs" "$(mask)" "$(of_process "$set")"
	done
	same "threads that talk to clients have no capabilities" "$(printf 'scapd-%s\n' control metrics names notify rotate signals)" \
		"$(threads | awk -v "none=$(mask)" '$2 == none { print $1 }')"
	same "the thread that closes files may only read any file" "scapd-files $(mask cap_dac_read_search)" \
		"$(threads | grep '^scapd-files ')"
	same "the other threads have those two" "$recording" \
		"$(threads | awk -v "none=$(mask)" '$2 != none && $1 != "scapd-files" { print $2 }' | sort -u)"
	same "it cannot gain capabilities" 1 "$(of_process NoNewPrivs)"
	same "its system calls are filtered" 2 "$(of_process Seccomp)"
	same "its directories belong to it alone" 'scapd 700 scapd 755' "$(stat -c '%U %a' /var/lib/scapd /run/scapd | xargs)"
	same "its files belong to it alone" 'scapd 600' "$(stat -c '%U %a' /var/lib/scapd/* | sort -u)"
}

# by_notice: checks a reload that systemd follows only by the notifications of the service.
by_notice() {
	local drop_in=/run/systemd/system/scapd.service.d/test.conf steps

	mkdir -p "$(dirname "$drop_in")"
	printf '[Service]\nExecReload=\n' >"$drop_in"
	systemctl daemon-reload
	record mkdir
	systemctl log-level debug
	check "reload by signal and notice" systemctl reload scapd
	make_calls mkdir
	systemctl log-level info
	journal
	steps=$(jq -r '.MESSAGE | capture("Changed [a-z-]+ -> (?<to>[a-z-]+)$|PID [0-9]+: (?<said>RELOADING=1|READY=1)") |
		.to // .said' /tmp/journal)
	same "systemd has waited for the notifications" "$(printf '%s\n' reload-signal RELOADING=1 reload-notify READY=1 running)" "$steps"
	rm "$drop_in"
	systemctl daemon-reload
}

quietly make install
systemctl daemon-reload
version=$(systemctl --version | sed -nE '1s/systemd ([0-9]+).*/\1/p')
type=notify
[ "$version" -lt 253 ] || type=notify-reload
same "systemd $version uses the type" "$type" "$(property Type)"
if [ "$type" = notify ]; then
	journalctl _PID=1 >/tmp/systemd
	has "and logs that it does not know notify-reload" /tmp/systemd 'scapd.service:[0-9]+: .*notify-reload'
fi

record mkdir
runs "start" systemctl start scapd
pid=$(property MainPID) run=$(property InvocationID)
make_calls mkdir
its_rights
logged "the rights that it has given up" journal 5 \
	'^the recording: capabilities left: CAP_DAC_READ_SEARCH CAP_SYS_PTRACE; seccomp refuses [0-9]+ system calls$'
logged "start" journal 5 '^recording to /var/lib/scapd/'

record rmdir
check "reload" systemctl reload scapd
make_calls rmdir
logged "reload" journal 5 '^configuration reloaded: syscalls changed$'
[ "$type" = notify ] || by_notice

recorded=${calls[-1]%% *}
record nosuchcall
check "reload: a mistake is reported" test "$(systemctl reload scapd 2>/dev/null || echo $?)" = 1
same "and the service goes on" "$pid active" "$(property MainPID) $(property ActiveState)"
make_calls "$recorded"
logged "a mistake" journal 3 "old one stays in force:\n$local:2:[0-9]+: syscalls: unknown syscall \`nosuchcall\`"
logged "a mistake, from ctl" stdout 3 "$local:2:[0-9]+: syscalls: unknown syscall \`nosuchcall\`"

kill -USR2 "$pid"
for _ in $(seq 100); do
	journal
	! grep -q '"statistics: ' /tmp/journal || break
	sleep 0.1
done
logged "statistics" journal 5 '^statistics: ' F_SECONDS F_TAKEN F_WRITTEN F_BYTES F_LOST

check "stop" systemctl stop scapd
logged "stop" journal 5 'closed with [0-9]+ events: nothing lost$' F_EVENTS F_BYTES F_LOST
journalctl -u scapd >/tmp/lines
has "stop, as text" /tmp/lines "scapd\[$pid\]: .* closed with [0-9]+ events: nothing lost"
check "the captures are complete" quietly scapd verify /var/lib/scapd/*.scap
for file in /var/lib/scapd/*.scap; do
	scapd read --json "$file"
done | jq -r 'select(.args.path.value? // "" | startswith("/tmp/scapd-test-")) | "\(.type) \(.args.path.value)"' >/tmp/recorded
same "the captures have the expected calls" "$(printf '%s\n' "${calls[@]}")" "$(</tmp/recorded)"

check "start: a mistake is reported" test "$(systemctl start scapd 2>/dev/null || echo $?)" = 1
run=$(property InvocationID)
same "and the start is not retried" 'failed 2 0' "$(property ActiveState) $(property ExecMainStatus) $(property NRestarts)"
logged "the reason for the failed start" stdout 3 "$local:2:[0-9]+: syscalls: unknown syscall \`nosuchcall\`"
finish
