# Opens a descriptor of each kind that a capture's state can have, and writes how readers must show each.
#
#   descriptors.pl EXPECTED SECONDS
#
# EXPECTED appears when all are open. It has a line for each descriptor, the expected output of sysdig 0.41 for
# '%fd.num|%fd.type|%fd.l4proto|%fd.name|%fd.cip|%fd.cport|%fd.sip|%fd.sport'. EXPECTED.scapd has 'number kind protocol
# name' of each, from `scapd read --json`. Then the program makes a call on each descriptor, five times a second for
# SECONDS, so that readers show it. Needs perl-base, Linux on x86-64, and root.

use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 unpack_sockaddr_in6 IPPROTO_ICMP IPPROTO_ICMPV6);

my ($expected, $seconds) = @ARGV;
my (@open, @sysdig, @scapd);

# Adds a descriptor: its type, protocol, name, the client's and the server's address and port.
sub holds {
	my ($handle, @fields) = @_;
	my $fd = ref $handle ? fileno $handle : $handle;
	my ($type, $protocol, $name) = @fields;
	push @open, [$handle, $fd];
	push @scapd, join(' ', $fd, $type, $protocol // '-', $name) . "\n";
	# sysdig shows neither the protocol nor the ends of an IPv6 connection, and no address of a listening socket. It
	# ends the name of a unix socket at its first NUL, and shows no type for a kind that it does not know.
	@fields[1, 3 .. 6] = () if $type eq 'ipv6' && $name =~ /->/;
	$fields[5] = undef if $name !~ /->/;
	$fields[2] =~ s/\0.*//s;
	$fields[0] = undef if $type =~ /^(memfd|pidfd)$/;
	push @sysdig, join('|', $fd, map { $_ // '<NA>' } @fields[0 .. 6]) . "\n";
}

sub new_socket {
	my ($family, $type, $protocol) = @_;
	socket my $socket, $family, $type, $protocol // 0 or die "socket: $!";
	return $socket;
}

my %any = (AF_INET, '127.0.0.1', AF_INET6, '::1');

sub at_loopback {
	my ($family, $port) = @_;
	my $ip = inet_pton $family, $any{$family};
	return $family == AF_INET ? pack_sockaddr_in $port, $ip : pack_sockaddr_in6 $port, $ip;
}

sub port_of {
	my ($family, $socket) = @_;
	my ($port) = $family == AF_INET ? unpack_sockaddr_in getsockname $socket : unpack_sockaddr_in6 getsockname $socket;
	return $port;
}

sub bound {
	my ($family, $type) = @_;
	my $socket = new_socket $family, $type;
	bind $socket, at_loopback $family, 0 or die "bind: $!";
	return ($socket, port_of $family, $socket);
}

sub name_of {
	my ($family, $port) = @_;
	return "$any{$family}:$port";
}

# TCP and UDP, listening and connected, and raw sockets.
for my $family (AF_INET, AF_INET6) {
	my $type = $family == AF_INET ? 'ipv4' : 'ipv6';
	my $ip = $any{$family};
	my ($server, $port) = bound $family, SOCK_STREAM;
	listen $server, 8 or die "listen: $!";
	holds $server, $type, 'tcp', name_of($family, $port), undef, undef, $ip, $port;
	my $client = new_socket $family, SOCK_STREAM;
	connect $client, at_loopback $family, $port or die "connect: $!";
	my $from = port_of $family, $client;
	accept my $accepted, $server or die "accept: $!";
	my @ends = (name_of($family, $from) . '->' . name_of($family, $port), $ip, $from, $ip, $port);
	holds $_, $type, 'tcp', @ends for $client, $accepted;

	my ($receiver, $to) = bound $family, SOCK_DGRAM;
	holds $receiver, $type, 'udp', name_of($family, $to), undef, undef, $ip, $to;
	my ($sender, $own) = bound $family, SOCK_DGRAM;
	connect $sender, at_loopback $family, $to or die "connect: $!";
	holds $sender, $type, 'udp', name_of($family, $own) . '->' . name_of($family, $to), $ip, $own, $ip, $to;

	my ($icmp, $none) = $family == AF_INET ? (IPPROTO_ICMP, '0.0.0.0') : (IPPROTO_ICMPV6, '::');
	# The kernel keeps the protocol of a raw socket in the port field.
	holds new_socket($family, SOCK_RAW, $icmp), $type, 'raw', "$none:$icmp", undef, undef, $none, $icmp;
}

# Unix sockets: bound to a path, abstract, abstract with an embedded NUL, bound to a path that looks abstract, unnamed.
for my $name ('a.socket', "\0scapd-$$", "\0scapd-$$\0more", "\@scapd-$$") {
	for my $type (SOCK_STREAM, SOCK_DGRAM) {
		next if $type == SOCK_DGRAM && $name !~ /more/;
		my $socket = new_socket AF_UNIX, $type;
		my $address = pack 'S a*', AF_UNIX, $name;
		bind $socket, $address or die "bind: $!";
		holds $socket, 'unix', undef, $name =~ s/^\@/.\/\@/r =~ s/^\0/\@/r;
	}
}
socketpair my $one, my $other, AF_UNIX, SOCK_STREAM, 0 or die "socketpair: $!";
holds $_, 'unix', undef, '' for $one, $other;
my $af_netlink = 16;
my $netlink = new_socket $af_netlink, SOCK_RAW;
holds $netlink, 'netlink', undef, readlink '/proc/self/fd/' . fileno $netlink;

# Files and other kinds.
open my $file, '<', $0 or die "$0: $!";
holds $file, 'file', undef, readlink '/proc/self/fd/' . fileno $file;
opendir my $folder, '.' or die ".: $!";
holds fileno $folder, 'directory', undef, readlink '/proc/self/fd/' . fileno $folder;
pipe my $in, my $out or die "pipe: $!";
holds $_, 'pipe', undef, readlink '/proc/self/fd/' . fileno $_ for $in, $out;

sub made {
	my ($type, $name, $call, @arguments) = @_;
	my $fd = syscall $call, @arguments;
	die "system call $call: $!" if $fd < 0;
	holds $fd, $type, undef, $name // readlink "/proc/self/fd/$fd";
}
my $signals = "\0" x 8;
made 'event', undef, 290, 0, 0;              # eventfd2
made 'eventpoll', undef, 291, 0;             # epoll_create1
made 'signalfd', undef, 289, -1, $signals, 8, 0; # signalfd4
made 'timerfd', undef, 283, 1, 0;            # timerfd_create
made 'inotify', undef, 294, 0;               # inotify_init1
# Kinds that sysdig 0.29 refuses: the capture has them as unsupported, with their names.
my $text = 'a name';
made 'memfd', 'memfd:a name', 319, $text, 0; # memfd_create
made 'pidfd', undef, 434, $$ + 0, 0;         # pidfd_open

sub write_list {
	my ($name, @lines) = @_;
	open my $list, '>', "$name.new" or die "$name.new: $!";
	print $list @lines;
	close $list or die "$name.new: $!";
	rename "$name.new", $name or die "$name: $!";
}
write_list "$expected.scapd", @scapd;
write_list $expected, @sysdig;
my $lseek = 8;
for (1 .. 5 * $seconds) {
	syscall $lseek, $_->[1], 0, 1 for @open;
	select undef, undef, undef, 0.2;
}
