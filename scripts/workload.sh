#!/bin/bash
# The workload of test-readers.sh: files, programs, a TCP and a unix connection.  workload.sh DIR
# Writes only to DIR, and leaves the ports of the TCP connection in DIR/ports. Needs perl (Debian's perl-base).

set -euo pipefail
cd "$1"

echo 'the first line' >notes.txt
read -r _ <notes.txt
mkdir folder
mv notes.txt folder/renamed.txt
cat folder/renamed.txt >/dev/null
cat missing.txt 2>/dev/null || true
rm folder/renamed.txt
rmdir folder
(cd / && : forked, without exec)
/bin/echo one 'two words' >/dev/null

# A parent that answers, and a child that asks. The program is read from stdin, so that its arguments fit on a line.
perl - <<'END'
use IO::Socket;

sub talk {
	my ($server, $connect) = @_;
	my $child = fork // die "fork: $!";
	if (!$child) {
		my $socket = $connect->() or die "connect: $!";
		syswrite $socket, "ping";
		sysread $socket, my $answer, 16;
		exit($answer eq "pong" ? 0 : 1);
	}
	my $socket = $server->accept or die "accept: $!";
	if ($socket->sockdomain == AF_INET) {
		open my $ports, ">", "ports";
		print $ports $socket->peerport, " ", $socket->sockport, "\n";
	}
	sysread $socket, my $question, 16;
	syswrite $socket, "pong";
	waitpid $child, 0;
	die "the client failed" if $?;
}
my $tcp = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die "listen: $!";
talk($tcp, sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $tcp->sockport) });
my $unix = IO::Socket::UNIX->new(Listen => 1, Local => "talk.socket") or die "listen: $!";
talk($unix, sub { IO::Socket::UNIX->new(Peer => "talk.socket") });
END
rm talk.socket
