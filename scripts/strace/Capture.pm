# Reads the calls of a capture from `scapd read --json`.
#
# A call is a hash of
#
#   name      of its event; of a generic event, that of the call
#   generic   whether it is a call without a program of its own
#   args      the parameters, by name, in JSON: of the exit event if there is one
#   has       'both', 'enter' or 'exit': its events
#   result    the number that it returned; undef without an exit event
package Capture;

use strict;
use warnings;
use Threads;

my %begins_life = map { $_ => 1 } qw(clone clone3 fork vfork);

# A value in JSON, and an event: scapd writes the members in this order.
my $value = qr/(?<value>"(?:[^"\\]++|\\.)*+"|[\[{](?:[^][{}"]++|"(?:[^"\\]++|\\.)*+"|(?=[\[{])(?&value))*+[\]}]|[^][{}",]++)/;
my $event = qr/"tid":(-?\d+),.*?"dir":"([<>])","type":"([^"]*)",.*?"args":\{/;

# read_events FILE-HANDLE IS-CALL: returns the threads. IS-CALL says which types of events are those of calls.
sub read_events {
	my ($in, $is_call) = @_;
	my $threads = Threads->new;
	my %open;
	while (my $line = <$in>) {
		my ($tid, $direction, $type) = $line =~ $event or die "an event of another form: $line";
		my $args = substr $line, $+[0];
		my $is_generic = $args =~ /^"ID":.*?"nativeID":/;
		if ($type eq 'procexit') {
			delete $open{$tid};
			$threads->ends($tid, number(members($args)->{sig}) ? 'killed' : 'exited');
		} elsif (!$is_generic && !$is_call->{$type}) {
			next;
		} elsif ($direction eq '>') {
			my $call = { name => $type, generic => $is_generic, text => $args, has => 'enter' };
			push @{ $threads->life($tid)->{calls} }, $open{$tid} = $call;
		} else {
			my $life = $threads->life($tid);
			my $members = members($args);
			my $result = result($members, $args);
			# A new thread returns from the call of the other one.
			next if $begins_life{$type} && !@{ $life->{calls} } && ($result // -1) == 0;
			my $call = delete $open{$tid};
			next if !$call && Threads::is_further_message($life, $type);
			if (!$call || !returns_from($type, $call->{name})) {
				$call = { name => $type, generic => $is_generic, has => 'exit' };
				push @{ $life->{calls} }, $call;
			} else {
				$call->{has} = 'both';
			}
			delete $call->{text};
			@$call{qw(args result)} = ($members, Threads::messages($type, $result));
		}
	}
	for my $call (map { @{ $_->{calls} } } @{ $threads->{lives} }) {
		$call->{args} //= members(delete $call->{text});
	}
	return $threads;
}

# members TEXT: the members of an object in JSON, whose text is behind its bracket.
sub members {
	my ($text) = @_;
	my %members;
	$members{$1} = $2 while $text =~ /\G,?"(\w+)":$value/gc;
	return \%members;
}

# returns_from EXIT ENTER: whether an exit event of one name ends a call of another. The kernel shows the return of an
# execveat that succeeds as that of an execve.
sub returns_from {
	my ($exit, $enter) = @_;
	return $exit eq $enter || $exit eq 'execve' && $enter eq 'execveat';
}

# result PARAMETERS TEXT: the number that a call returned: `res`, or the first parameter.
sub result {
	my ($args, $text) = @_;
	return number($args->{res}) if exists $args->{res} || exists $args->{nativeID};
	return $text =~ /^"(\w+)"/ ? number($args->{$1}) : undef;
}

# number VALUE: the number of a value in JSON, undef for another value. A large number is a text of digits.
sub number {
	my ($text) = @_;
	return defined $text && $text =~ /^(?:\{"value":)?"?(-?\d+)"?(?:[,}]|\z)/ ? $1 : undef;
}

1;
