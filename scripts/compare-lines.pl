# Compares the output of scapd and sysdig for the same events, parameter by parameter. Prints a line for each parameter
# of an event type that differs, with the number of events and an example.
#
#   compare-lines.pl PARAMETERS SCAPD SYSDIG
#
# PARAMETERS has a line for each type: its name and its parameters' names, then | and those that sysdig does not show. SCAPD is the output of `scapd read`. SYSDIG
# has lines of '%evt.time %thread.tid %evt.dir %evt.type %evt.args'. The comparison covers the values, and of the text
# in parentheses the type, the protocol and the name of a descriptor. Fails if no event was compared.

use strict;
use warnings;

my ($parameters, $scapd, $sysdig) = @ARGV;

my (%names, %beyond);
open my $list, '<', $parameters or die "$parameters: $!";
while (<$list>) {
	my ($known, $beyond) = split /\|/;
	my ($type, @parameters) = split ' ', $known;
	$names{$type} = \@parameters;
	$beyond{$type} = join '|', split ' ', $beyond;
}

# The values of the parameters that a line has.
sub values_of {
	my ($text, $names) = @_;
	my (@values, $from);
	for my $name (@$names) {
		my $at = index " $text", " $name=", $from // 0;
		last if $at < 0;
		push @values, substr $text, $from, $at - 1 - $from if defined $from;
		$from = $at + length "$name=";
	}
	push @values, substr $text, $from if defined $from;
	return @values;
}

# Compares the descriptions of a descriptor in parentheses, if both exist. sysdig does not know the protocol of a new
# socket, nor the name of a descriptor without a path. It shows a kind added after 0.29 as 'X'.
sub same_descriptor {
	my ($ours, $theirs) = @_;
	my ($our_type, $our_name) = $ours =~ /^-?\d+\(<(\w+)>(.*)\)$/s or return 1;
	my ($type, $name) = $theirs =~ /^-?\d+\(<(\w+)>(.*)\)$/s or return 1;
	return ($type eq 'X' || index($our_type, $type) == 0) && ($name eq '' || $name eq $our_name);
}

# Compares two values apart from their form: sysdig truncates texts and data, prints 64-bit numbers as signed, addresses
# in decimal, non-ASCII bytes in many forms, and no time zone.
sub alike {
	my ($ours, $theirs) = @_;
	return 1 if $ours eq $theirs || $ours =~ /[^ -~]|\\/;
	return 0 unless same_descriptor($ours, $theirs);
	s/^(-?[0-9A-Fa-fx]+)\(.*/$1/s, s/ +$// for $ours, $theirs;
	return 1 if $ours eq $theirs;
	return 1 if $theirs =~ s/\.\.\.$// && index($ours, $theirs) == 0;
	return 1 if $theirs =~ /^-\d+$/ && ($ours eq sprintf('%u', $theirs) || $ours eq ($theirs & 0xffffffff));
	return 1 if $ours =~ /^[0-9A-F]+$/ && $theirs =~ /^\d+$/ && sprintf('%X', $theirs) eq $ours;
	return 1 if $ours =~ s/ \+0000$//r eq $theirs;
	# Lists of descriptors have a letter for the kind of each; a relative path has its absolute form in parentheses.
	s/(\d+):./$1:/g, s/\(.*//s for $ours, $theirs;
	return $ours eq $theirs;
}

open my $mine, '<', $scapd or die "$scapd: $!";
open my $other, '<', $sysdig or die "$sysdig: $!";
# sysdig omits events and keeps the order: our events read ahead.
my @ahead;

# Finds our event of a time, a thread and a direction.
sub find {
	my ($time, @key) = @_;
	for (my $i = 0; ; $i++) {
		if ($i == @ahead) {
			my $line = <$mine> // return;
			my @event = $line =~ /^\d+ (\S+) \d+ .*? \((\d+)\) ([<>]) (\S+) ?(.*)$/ or next;
			push @ahead, \@event;
		}
		my $event = $ahead[$i] // next;
		if ($event->[0] lt $time) {
			splice @ahead, $i--, 1;
			next;
		}
		return if $event->[0] gt $time;
		return splice @ahead, $i, 1 if "@$event[1, 2]" eq "@key";
	}
}

my ($compared, %differ, %example) = 0;
while (<$other>) {
	my ($time, $tid, $direction, $type, $text) = /^(\S+) (\d+) ([<>]) (\S+) ?(.*)$/ or next;
	my $event = find($time, $tid, $direction);
	my $names = $names{$type} or next;
	my @theirs = values_of($text, $names);
	my @ours = $event ? values_of($event->[4], $names) : ();
	$ours[-1] =~ s/ (?:$beyond{$type})=.*//s if @ours && $beyond{$type};
	my $key = !$event || $event->[3] ne $type ? "$type: another event"
		: @ours != @theirs ? "$type: other parameters" : undef;
	my ($i) = defined $key ? 0 : grep { !alike($ours[$_], $theirs[$_]) } 0 .. $#ours;
	$key //= "$type $names->[$i]" if defined $i;
	$compared++;
	next unless defined $key;
	$differ{$key}++;
	$example{$key} //= sprintf 'at %s: %.80s, not %.80s', $time, $ours[$i] // 'nothing', $theirs[$i] // 'nothing';
}
printf "%s: %d events, %s\n", $_, $differ{$_}, $example{$_} for sort keys %differ;
die "no event was compared\n" unless $compared;
