# Compares what scapd and sysdig print for the same events, parameter by parameter: one line for each parameter of an
# event type that differs, with the number of events and an example; nothing if none does.
#
#   compare-lines.pl PARAMETERS SCAPD SYSDIG
#
# PARAMETERS has a line for each type: name and parameters' names; SCAPD is what `scapd read` prints, SYSDIG lines of
# '%evt.time %thread.tid %evt.dir %evt.type %evt.args'. Compared are the values themselves, and of what stands for them in
# parentheses what both say of a descriptor: its type, its protocol, its name. Fails when no event was compared.

use strict;
use warnings;

my ($parameters, $scapd, $sysdig) = @ARGV;

my %names;
open my $list, '<', $parameters or die "$parameters: $!";
while (<$list>) {
	my ($type, @parameters) = split;
	$names{$type} = \@parameters;
}

# The values of a line's parameters, as far as it has them.
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

# What is said of a descriptor in parentheses, where both say something. Of a new socket sysdig does not know the protocol,
# and of what has no path not the name; a kind that came later than 0.29 is 'X' to it.
sub same_descriptor {
	my ($ours, $theirs) = @_;
	my ($our_type, $our_name) = $ours =~ /^-?\d+\(<(\w+)>(.*)\)$/s or return 1;
	my ($type, $name) = $theirs =~ /^-?\d+\(<(\w+)>(.*)\)$/s or return 1;
	return ($type eq 'X' || index($our_type, $type) == 0) && ($name eq '' || $name eq $our_name);
}

# The same, but for the form: sysdig shortens texts and data, prints numbers of 64 bits as signed ones, addresses in
# decimal, an octet that is not ASCII in many ways, and no time zone.
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
	# Lists of descriptors have a letter each for what it is; a relative path's absolute form is in parentheses.
	s/(\d+):./$1:/g, s/\(.*//s for $ours, $theirs;
	return $ours eq $theirs;
}

open my $mine, '<', $scapd or die "$scapd: $!";
open my $other, '<', $sysdig or die "$sysdig: $!";
# sysdig leaves events out and keeps the order: those of ours that were read ahead.
my @ahead;

# Our event of a time, a thread and a direction.
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
