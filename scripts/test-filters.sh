#!/bin/bash
# Runs a few hundred generated filters with scapd and with sysdig 0.41 and 0.29, and compares which events of captures they
# select. Records the captures itself; more can be given. Needs root, and the readers from setup-readers.sh.
#
#   test-filters.sh SCAPD [CAPTURE...]
#
# Environment: SEED (default 1) and COUNT (filters for each capture, default 150).

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# = 0 ] || [ ! -x "$1" ]; then die "usage: test-filters.sh SCAPD [CAPTURE...] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
shift
scripts=$(realpath "$(dirname "$0")")
given=()
for capture; do given+=("$(realpath "$capture")"); done
seed=${SEED:-1}
count=${COUNT:-150}

# The differences that must stay. A row has: releases of sysdig; captures; a part of the filter (these are regular
# expressions); the events that may differ, as a filter of scapd; a filter that shows the difference. The reason stands
# above it. A row without a difference is an error, unless it is for captures that are given.
differences() {
	sed '/^#/d' <<'END'
# sysdig counts the events that it shows.
sid|bookworm; .*; evt\.num; evt.num exists; evt.num = 5
# sysdig 0.41 knows no durations.
sid; .*; evt\.latency[.\w]*; evt.num exists; evt.latency >= 0
# sysdig 0.29 has a duration of 0 where there is none.
bookworm; classic; evt\.latency[.\w]*; not evt.latency exists; evt.latency >= 0
# sysdig counts from the first event that it shows.
sid; .*; evt\.(deltatime|reltime)[.\w]*; evt.num exists; evt.reltime = 0
# An address that mmap returns is hexadecimal; sysdig compares raw arguments in the types of the first event that has them.
sid; .*; evt\.(raw)?args?.*; evt.num exists; evt.arg.res startswith 7F
# sysdig 0.29 has no data where it does not know the descriptor.
bookworm; classic; evt\.buf\w*; evt.num exists; evt.buflen exists
# Times of threads and descriptors that the capture does not show are not 0.
sid|bookworm; .*; (thread\.(tot)?exectime|proc\.(fdopencount|fdusage|nthreads|nchilds))[.\w]*; evt.num exists; thread.exectime = 0
# sysdig has random numbers for these before an exec.
sid; .*; proc\.(exe_ino\.ctime_duration_\w+|pidns_init_start_ts|ppid\.(duration|ts)); evt.num exists; proc.exe_ino.ctime_duration_pidns_start exists
# A prlimit that only reads leaves the limit as it was.
sid; .*; proc\.fdlimit; evt.num exists; proc.fdlimit = 0
# Memory is the process's; in sysdig, it is what the thread has told.
sid; .*; (thread|proc)\.(vm\w+|pfmajor|pfminor); evt.num exists; thread.vmsize = 0
# What is not known has no value; in sysdig 0.29 it is false.
bookworm; classic; proc\.is_exe\w+; evt.num exists; proc.is_exe_writable = false
# The values of all ancestors; sysdig prints none, and compares otherwise.
sid|bookworm; .*; proc\.a\w+; evt.num exists; proc.aargs != zzz
# No descriptor is in the directory /.
sid|bookworm; .*; fd\.(container)?directory; fd.num exists and not fd.directory exists; fd.directory = "/"
# sysdig 0.29 does not know pipe2.
bookworm; classic; fd\..*; fd.type = pipe; fd.type = pipe
# To it, an open changes no name.
bookworm; classic; fd\.name_changed; evt.type in (open, openat) and fd.name_changed = true; fd.name_changed = true
# In sysdig 0.41, an address is never one of a list.
sid; .*; fd\.ip in; fd.ip exists; fd.ip in (127.0.0.1)
# Pipes and memfds have the names that those open before have.
sid; .*; fd\.(name|containername|name_changed); fd.type in (pipe, memfd, pidfd); fd.name startswith pipe
# scapd names a unix socket as connect and accept did.
sid; sockets|given-.*; fd\.(name|containername|name_changed|connected); fd.type = unix; fd.name startswith "0-"
# A socket with a datagram's peer is connected; to sysdig, after the next transfer.
sid; sockets; fd\.connected; fd.l4proto = udp; fd.connected = true
# sysdig takes an IPv6 datagram socket for one that still listens.
sid; sockets; fd\.([cslr]?(ip|port|net|proto)|name|containername|name_changed|l4proto); fd.type = ipv6 and fd.l4proto = udp; fd.lip = ::1
# A datagram socket without an address has none; sysdig guesses one.
sid; sockets|given-.*; fd\.(name|containername|name_changed|[cslr]?(ip|net)); fd.net = 0.0.0.0/32 or fd.net = ::/128; fd.cip = 0.0.0.0
# <NA> is no value.
sid|bookworm; .*; fd\.(l4proto|type); fd.num exists and not fd.l4proto exists; fd.l4proto exists
# The letters of what is not known.
sid; sockets|given-.*; fd\.typechar; fd.num exists and not fd.type exists; fd.typechar = X
# scapd has names of services, and sysdig an empty text for a unix or a listening socket.
sid; .*; fd\.[cslr]proto; fd.type = unix or fd.sproto = domain or fd.sport exists and not fd.cport exists; fd.sproto = domain
# A new socket has no address and no port.
sid|bookworm; .*; fd\.(ip|port|proto|net); fd.num exists and not fd.port exists; fd.port exists
# To sysdig, the address :: of a new socket is one of the loopback's network.
sid; sockets|given-.*; fd\.is_server; fd.type = ipv6 and not fd.port exists; fd.is_server = true
# The initial state has the ends of all sockets; sysdig drops those of IPv6, and the address of a listening socket.
sid; open; fd\.([cslr](ip|port|net|proto)|l4proto|ip|port|proto|net|is_server); fd.type = ipv6 or fd.sport exists and not fd.cport exists; fd.sip exists
# Kinds that some readers refuse are stored as unsupported, with their names.
sid; open; fd\.(type|typechar|types); fd.type in (memfd, pidfd); fd.typechar = X
# A unix socket's name may have a NUL in it; sysdig ends it there.
sid; open; fd\.(name|containername); fd.type = unix; fd.name endswith more
# Sockets of the initial state are connected; to sysdig, only after a transfer.
sid; open|given-.*; fd\.connected; fd.port exists; fd.connected = true
# No interface has a container's address: sysdig takes the server's end for the local one.
sid; given-.*; fd\.([lr](ip|port|net|proto)|is_server); fd.port exists; fd.lip exists
# Well-known ports have names.
sid; given-.*; fd\.[cslr]proto; fd.port exists; fd.sproto exists
# An execve closes descriptors; sysdig does not know which.
sid; classic; fd\.types; proc.name = true; fd.types intersects (directory)
sid; given-.*; fd\.types; fd.num exists; fd.types exists
# An IPv6 socket that connects to no address; sysdig takes it for one of IPv4.
sid; given-.*; fd\.(types?|typechar|l4proto|[cslr](port|proto)|connected|is_server); fd.net = ::/128; fd.type = ipv6
END
}

tmp=$(mktemp -d)
before=
trap '[ -z "$before" ] || kill "$before" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp"
export TZ=UTC SCAPD=$scapd READER=$scripts/reader.sh

# record NAME OPTION...: records to NAME.scap.
record() {
	local name=$1

	shift
	runs "record $name" "$scapd" record -q -w "$name.scap" "$@"
}

# reader_fields RELEASE: prints the names of the fields that a sysdig has.
reader_fields() { read_by "$1" sysdig -l | sed -nE 's/^([a-z]+(\.[a-z0-9_]+)+).*/\1/p' | sort -u; }

# compare NAME RELEASE...: compares the filters on NAME.scap.
compare() {
	local name=$1 result text

	shift
	"$scapd" read --all --json "$name.scap" | read_by sid jq -r '[.num, .ts, .tid, .dir] | @tsv' >"$name.events"
	while IFS=$'\t' read -r result text; do
		case $result in
		ok) ok "$text" ;;
		used) echo "$text" >>used.txt ;;
		*) not_ok "$text" ;;
		esac
	done < <(perl "$scripts/filters.pl" "$name" "$seed" "$count" "$@" || printf 'not ok\tfilters.pl fails on %s.scap\n' "$name")
	seed=$((seed + 1))
}

# A program that uses files, and a program that uses sockets of all families, pipes and others. Both make calls that fail.
files() {
	cat <<'END'
open my $file, "+>", "a file";
syswrite $file, "a line";
sysseek $file, 0, 0;
sysread $file, my $text, 4;
mkdir "folder";
opendir my $folder, "folder";
open my $none, "<", "folder/none";
stat "a file";
rename "a file", "folder/a file";
unlink "folder/a file";
rmdir "folder";
system "true";
END
}
sockets() {
	cat <<'END'
use IO::Socket;
use Socket qw(:DEFAULT pack_sockaddr_in6 inet_pton);

# sysdig takes a socket for a server's if it sees its port.
my $port = 20000 + $$ % 10000;

sub socket_of { socket(my $socket, $_[0], $_[1], $_[2] // 0) or die "socket: $!"; return $socket }
sub say_and_hear {
	my ($from, $to, $address) = @_;
	defined $address ? send($from, "question", 0, $address) : send($from, "question", 0);
	my $peer = recv $to, my $text, 20, 0;
	length $peer > 2 ? send($to, "answer", 0, $peer) : send($to, "answer", 0);
	recv $from, $text, 20, MSG_DONTWAIT;
}
my @local = (pack_sockaddr_in($port, INADDR_LOOPBACK), pack_sockaddr_in6($port, inet_pton(AF_INET6, "::1")));
for my $i (0, 1) {
	my $family = (AF_INET, AF_INET6)[$i];
	my $server = socket_of($family, SOCK_DGRAM);
	bind $server, $local[$i] or die "bind: $!";
	say_and_hear(socket_of($family, SOCK_DGRAM), $server, getsockname $server) for 1, 2;
	my $client = socket_of($family, SOCK_DGRAM);
	connect $client, getsockname $server;
	say_and_hear($client, $server);
	my $listening = socket_of($family, SOCK_STREAM);
	bind $listening, $local[$i] or die "bind: $!";
	listen $listening, 5 or die "listen: $!";
	my $stream = socket_of($family, SOCK_STREAM);
	connect $stream, getsockname $listening or die "connect: $!";
	accept my $accepted, $listening or die "accept: $!";
	syswrite $stream, "to the server";
	sysread $accepted, my $text, 20;
	shutdown $stream, 2;
}
my $dns = socket_of(AF_INET, SOCK_DGRAM);
connect $dns, pack_sockaddr_in(53, INADDR_LOOPBACK);
send $dns, "nobody", 0;
connect socket_of(AF_INET, SOCK_STREAM), pack_sockaddr_in(1, INADDR_LOOPBACK);
my $unix = socket_of(AF_UNIX, SOCK_DGRAM);
bind $unix, pack_sockaddr_un("datagrams") or die "bind: $!";
send socket_of(AF_UNIX, SOCK_DGRAM), "to nobody", 0, pack_sockaddr_un("datagrams");
recv $unix, my $datagram, 20, 0;
socketpair my $one, my $other, AF_UNIX, SOCK_STREAM, 0;
say_and_hear($one, $other);
socket_of(16, SOCK_RAW); # netlink
socket_of(17, SOCK_RAW); # packets
pipe my $read, my $write;
syswrite $write, "through a pipe";
sysread $read, my $text, 5;
open my $copy, ">&", $write;
my $eventfd = 290; # on x86-64
syscall $eventfd, 0, 0;
unlink "datagrams";
END
}

# shellcheck disable=SC2016 # for jq
"$scapd" list fields --json | read_by sid jq -r '.[] | select(.supported) | [.name, .type, (if .list then "list" else "-" end),
	((.argument // {}) | (.number, .name, .required) | if . then "1" else "-" end)] | @tsv' >fields.txt
# Parameters that many events have.
"$scapd" list events --json | read_by sid jq -r '[.[].parameters[].name] | group_by(.)[] | select(length > 20)[0]' >parameters.txt
for release in sid bookworm; do reader_fields "$release" >"$release.fields"; done
differences >differences.txt
: >used.txt

mkdir all
sockets >sockets.pl
files >files.pl
if record all -- env -i "PATH=$PATH" bash "$scripts/workload.sh" "$tmp/all"; then compare all sid; fi
if record sockets -- perl sockets.pl; then compare sockets sid; fi
perl "$scripts/descriptors.pl" expected 60 &
before=$!
for _ in {1..100}; do [ -e expected ] || sleep 0.05; done
if record open -p "$before" --duration 1s; then compare open sid; fi
kill "$before"
wait "$before" 2>/dev/null || true
before=
# sysdig 0.29 crashes on generic events of newer calls.
classic=open,openat,creat,close,read,write,pipe,stat,fstat,mkdir,rmdir,unlink,unlinkat,rename,renameat,chdir,execve,clone,fork
classic+=,vfork,socket,connect,bind,listen,accept
if record classic --syscalls "$classic" -- perl files.pl; then compare classic sid bookworm; fi
unused=$(grep -vxFf used.txt differences.txt | grep -v '; given-' || true)
if [ -z "$unused" ]; then ok "every difference in the table occurs"; else not_ok "differences that do not occur: $unused"; fi

for capture in "${given[@]}"; do
	cp "$capture" "given-$(basename "$capture" .scap).scap"
	compare "given-$(basename "$capture" .scap)" sid
done

finish || {
	sed 's/^/filters: /' errors 2>/dev/null | tail -n 20 >&2
	exit 1
}
