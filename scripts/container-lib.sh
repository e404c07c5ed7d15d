# shellcheck shell=bash disable=SC2154 # the scripts that source this set $scapd
# Functions shared by test-containers.sh and guest-containers.sh; `source` it after lib.sh. They expect the program to test in
# $scapd, and write into the current directory.

scripts=$(realpath "$(dirname "$0")")
# The process of the recording, while there is one.
recorder=''

# box_image BUSYBOX: writes the files of an image to stdout, as an archive: busybox, and three of its applets.
box_image() {
	local folder applet

	folder=$(mktemp -d)
	mkdir "$folder/bin"
	cp "$1" "$folder/bin/busybox"
	for applet in sh sleep cat; do ln -s busybox "$folder/bin/$applet"; done
	tar -C "$folder" -c .
	rm -r "$folder"
}

# record FILE [ARG...]: records in the background, from the first event on. stop ends it.
record() {
	local file=$1

	shift
	SCAPD_LOG=info "$scapd" record --no-extensions --syscalls execve,clone,vfork,openat,read,close -w "$file" "$@" \
		>record.log 2>&1 &
	recorder=$!
	for _ in $(seq 300); do [ -z "$(find . -name "${file%.scap}*" -size +0)" ] || break; sleep 0.1; done
	# Until runtimes have answered about what runs already.
	sleep 1
}

stop() {
	kill -INT "$recorder"
	wait "$recorder" || not_ok "the recording failed: $(tail -n 3 record.log)"
	recorder=''
}

# agrees_with_sysdig FILE FILTER: checks that sysdig 0.29 reads the same about containers as scapd, at these events and at those
# about containers.
agrees_with_sysdig() {
	local fields='%evt.rawtime|%evt.type|%container.id|%container.name|%container.image|%container.image.id'
	local filter="evt.type = container or ($2)"

	fields+='|%container.image.repository|%container.image.tag|%container.privileged|%container.mounts|%container.healthcheck'
	"$scripts/reader.sh" bookworm sysdig -r "$1" -p "*$fields" "$filter" >sysdig.txt
	same "sysdig 0.29 has the same values" "$(cat sysdig.txt)" "$("$scapd" read "$1" --all -p "*$fields" "$filter")"
}
