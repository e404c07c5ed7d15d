#!/bin/bash
# The workload of test-report.sh: a server and its clients on loopback, a pipeline, a process that is killed, calls that fail, and
# names that are markup.  report-workload.sh DIR
# Writes only to DIR. Needs perl (Debian's perl-base).

set -euo pipefail
cd "$1"

mkdir -p site src
for n in 1 2 3 4; do head -c $((n * 200000)) /dev/urandom >"site/page$n.bin"; done
cat >server.pl <<'END'
use IO::Socket;
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die "listen: $!";
open my $port, ">", "port.part";
print $port $server->sockport;
close $port;
rename "port.part", "port";
while (my $client = $server->accept) {
	sysread $client, my $name, 64;
	last if $name eq "end";
	open my $file, "<", "site/$name" or next;
	while (sysread $file, my $part, 65536) { syswrite $client, $part }
	close $client;
}
END
cat >client.pl <<'END'
use IO::Socket;
my ($port, $name) = @ARGV;
my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) or exit 1;
syswrite $server, $name;
while (sysread $server, my $part, 65536) { }
END
perl server.pl &
until [ -e port ]; do sleep 0.05; done
port=$(<port)
for _ in 1 2 3 4 5 6; do
	for n in 1 2 3 4; do perl client.pl "$port" "page$n.bin"; done
	sleep 0.1
done
# Port 9 is closed.
perl client.pl 9 nothing || true
perl client.pl "$port" end
wait
find /usr/share/doc -name copyright 2>/dev/null | head -n 300 | xargs cat 2>/dev/null | gzip >all.gz || true
dd if=/dev/zero of=big bs=64k count=100 conv=fsync status=none
sleep 30 &
victim=$!
sleep 0.3
kill -KILL $victim
wait $victim 2>/dev/null || true
# What would run if it were markup: the name of a process, an argument, names of files.
cp "$(command -v cat)" '<img src=x>'
hostile='<img src=x>'
"./$hostile" '<script>document.title="run"</script>' 2>/dev/null || true
cat '</script><script>document.title="run"<' 2>/dev/null || true
echo hostile >'<img src=x onerror=document.title="run">'
cat '<img src=x onerror=document.title="run">' '{a|b}{c|' >/dev/null 2>&1 || true
rm -rf site src big all.gz ./*img*
