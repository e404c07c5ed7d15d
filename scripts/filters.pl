#!/usr/bin/perl
# Compares what filters select in scapd and in sysdig.
#
#   filters.pl CAPTURE SEED COUNT RELEASE...
#
# Generates COUNT filters from the fields that scapd and sysdig have and the values that occur in CAPTURE.scap, and runs
# scapd and the sysdig of each Debian RELEASE with them. Prints 'ok' or 'not ok', a tab and a text for each result. An
# event is the same if its time, thread and direction are.
#
# Reads in the current directory: fields.txt (a field of scapd on a line: name, type, 'list' or -, and whether it takes a
# number, a name, and needs one: 1 or -), RELEASE.fields (the fields of a sysdig), parameters.txt (names of parameters),
# differences.txt (see filter-differences.txt), CAPTURE.events (number, time, thread and direction of each event).
# Environment: SCAPD, READER (reader.sh).

use strict;
use warnings;

my ($capture, $seed, $count, @releases) = @ARGV;
my $file = "$capture.scap";
srand $seed;

# slurp FILE: returns its lines.
sub slurp {
	open my $in, '<', $_[0] or die "$_[0]: $!\n";
	chomp(my @lines = <$in>);
	return @lines;
}

# output COMMAND...: returns the lines that a command prints; undef if it fails. Its errors go to the file 'said'.
sub output {
	my $pid = open(my $out, '-|') // die "fork: $!\n";
	if (!$pid) {
		open STDERR, '>', 'said';
		exec @_ or exit 127;
	}
	my @lines = <$out>;
	chomp @lines;
	return close $out ? \@lines : undef;
}

sub one_of { $_[rand @_] }
sub quoted { '"' . ($_[0] =~ s/([\\"])/\\$1/gr) . '"' }

my %known = map { my ($name, @rest) = split /\t/; $name => \@rest } slurp 'fields.txt';
my %reader = map { my $release = $_; $release => { map { $_ => 1 } slurp "$release.fields" } } @releases;
my @parameters = slurp 'parameters.txt';

# The fields as filters name them, with sample arguments.
my @fields;
for my $name (sort keys %known) {
	my ($type, $list, $number, $named, $required) = @{ $known{$name} };
	next if !grep { $reader{$_}{$name} } @releases;
	push @fields, [$name, $type, $list] if $required eq '-';
	push @fields, [$name . "[" . one_of(0 .. 2) . "]", $type, $list] if $number eq '1';
	push @fields, [$name . "." . one_of(@parameters), $type, $list] if $named eq '1' && $required eq '1';
}

# The values that the first sysdig prints for the fields. It refuses a field that is only for filters.
my (%values, %of_type);
my @printed = grep { $reader{ $releases[0] }{ $_->[0] =~ s/[\[].*//r } || $_->[0] !~ /^\w+(\.\w+)?$/ } @fields;
while (my @some = splice @printed, 0, 25) {
	my $lines = values_of(@some);
	if (!defined $lines) {
		values_of($_) for @some;
	}
}

sub values_of {
	my @some = @_;
	my $format = '*' . join("\x1f", map { "%$_->[0]" } @some);
	my $lines = output($ENV{READER}, $releases[0], 'sysdig', '-r', $file, '-p', $format) // return;
	my @seen;
	for my $line (@$lines) {
		my @cells = split /\x1f/, $line, -1;
		next if @cells != @some;
		for my $i (0 .. $#some) {
			my $cell = $cells[$i];
			$cell = $1 if $some[$i][2] eq 'list' && $cell =~ /^\((.*?)[,)]/;
			next if $cell eq '' || $cell eq '<NA>' || length $cell > 60 || $cell =~ /[^ -~]/ || $seen[$i]{$cell}++;
			push @{ $values{ $some[$i][0] } }, $cell;
			push @{ $of_type{ $some[$i][1] } }, $cell;
		}
	}
	return $lines;
}

# value FIELD TYPE: returns a value to compare the field with, mostly one that it has.
sub value {
	my ($field, $type) = @_;
	my @all = @{ $values{$field} // [] };
	@all = @{ $of_type{$type} // [] } if !@all && $type =~ /^(address|port)$/;
	if ($type =~ /^(int|uint|float|duration|time|port)$/) {
		my @numbers = grep { /^-?\d{1,18}$/ && ($type eq 'int' || !/^-/) } @all;
		return @numbers && rand > 0.2 ? one_of(@numbers) : one_of(0, 1, 3, 80);
	}
	return one_of('true', 'false') if $type eq 'bool';
	return one_of(grep({ /^[0-9a-f.:]+$/ } @all), '127.0.0.1', '::1', '0.0.0.0') if $type eq 'address';
	return one_of('127.0.0.0/8', '10.0.0.0/8', '127.0.0.1/32', '0.0.0.0/0', '::1/128', 'fe80::/10') if $type eq 'network';
	return quoted(@all && rand > 0.1 ? one_of(@all) : 'none');
}

# part FIELD TYPE: returns a part of a text that the field has.
sub part {
	my $text = value(@_);
	$text =~ s/^"|"$//g;
	$text =~ s/\\(.)/$1/g;
	my $length = 1 + int rand length $text;
	return substr $text, int rand(length($text) - $length + 1), $length;
}

# test FIELD: returns a random test of the field.
sub test {
	my ($field, $type, $list) = @{ $_[0] };
	my $value = sub { value($field, $type) };
	my $set = sub { '(' . join(', ', map { $value->() } 1 .. 1 + int rand 3) . ')' };
	return one_of("$field exists", "$field in " . $set->(), "$field intersects " . $set->()) if $list eq 'list';
	my @tests = (sub { "$field exists" }, (sub { "$field = " . $value->() }) x 3, sub { "$field != " . $value->() });
	push @tests, sub { "$field in " . $set->() } if $type !~ /^(bool|network)$/;
	push @tests, (sub { "$field " . one_of('<', '<=', '>', '>=') . ' ' . $value->() }) x 3
		if $type =~ /^(int|uint|float|duration|time|port)$/;
	if ($type =~ /^(text|data)$/) {
		my $part = sub { part($field, $type) };
		push @tests, (sub { "$field " . one_of(qw(contains icontains startswith endswith)) . ' ' . quoted($part->()) }) x 4,
			sub { "$field icontains " . quoted(uc $part->()) },
			sub { "$field " . one_of('glob', 'iglob') . ' ' . quoted('*' . $part->() =~ s/[\\*?\[\]{}]/?/gr . '*') },
			sub { "$field regex " . quoted('.*' . quotemeta($part->()) =~ s/\\([\/ \w-])/$1/gr . '.*') },
			sub { "$field pmatch " . $set->() },
			sub { "tolower($field) = " . lc $value->() },
			sub { "toupper($field) contains " . quoted(uc $part->()) },
			sub { "basename($field) = " . quoted($part->() =~ s/.*\///r) },
			sub { "len($field) " . one_of('=', '<', '>') . ' ' . int rand 20 },
			sub { "$field = val(" . one_of(grep { $_->[1] eq $type && $_->[2] ne 'list' } @fields)->[0] . ')' };
	}
	return one_of(@tests)->();
}

# combined: returns tests that are joined.
sub combined {
	my ($a, $b, $c) = map { test(one_of(@fields)) } 1 .. 3;
	return one_of("$a and $b", "$a or $b", "not $a", "not ($a or $b)", "$a and not $b", "($a or $b) and $c", "$a or ($b and not $c)");
}

my (@filters, %made);
my @shuffled = sort { $a->[0] cmp $b->[0] } @fields;
@shuffled = map { splice @shuffled, rand @shuffled, 1 } 1 .. @shuffled;
for (my $try = 0; @filters < $count && $try < 20 * $count; $try++) {
	# Half of them test one field each, so that all fields have their turn.
	my $filter = @filters % 2 && @shuffled ? test(shift @shuffled) : rand > 0.5 ? combined() : test(one_of(@fields));
	# sysdig learns of memory only from events that its filter selects.
	$filter = "($filter) or evt.type in (brk, mmap, munmap)" if $filter =~ /\.vm/;
	push @filters, $filter if !$made{$filter}++;
}

# The differences that must stay, with the events that may differ.
my %number;
for (slurp "$capture.events") {
	my ($number, $time, $tid, $direction) = split /\t/;
	$number{"$time $tid $direction"} = $number;
}

sub selected {
	my $lines = output($ENV{SCAPD}, 'read', '--all', $file, $_[0]) // return;
	return map { /^(\d+)/ ? ($1 => 1) : () } @$lines;
}

my @differences;
for (slurp 'differences.txt') {
	my ($releases, $captures, $pattern, $ours, $theirs, $example) = split /\s*;\s*/;
	next if $capture !~ /^(?:$captures)$/;
	die "differences.txt: no example: $_\n" if !defined $example;
	my $regex = qr/(?<![\w.])(?:$pattern)(?![\w.])/;
	die "differences.txt: the example has not what the row is about: $_\n" if $example !~ $regex;
	push @differences, { row => $_, releases => $releases, pattern => $regex, ours => $ours, theirs => $theirs };
	push @filters, $example if !$made{$example}++;
}

# excused ROW RUN: returns the numbers of the events that may differ. RUN runs sysdig.
sub excused {
	my ($difference, $run) = @_;
	my %events = $difference->{ours} eq '-' ? map { $_ => 1 } values %number : selected($difference->{ours});
	die "$difference->{row}: " . join(' ', slurp 'said') . "\n" if !%events && -s 'said';
	return \%events if $difference->{theirs} eq '-';
	my $theirs = output(@$run, $difference->{theirs}) // die "$difference->{row}: " . join(' ', slurp 'said') . "\n";
	my %theirs = map { $number{$_} ? ($number{$_} => 1) : () } @$theirs;
	delete @events{ grep { !$theirs{$_} } keys %events };
	return \%events;
}

for my $release (@releases) {
	my @run = ($ENV{READER}, $release, 'sysdig', '-r', $file, '-p', '*%evt.rawtime %thread.tid %evt.dir');
	my %shown = map { $number{$_} ? ($number{$_} => 1) : () } @{ output(@run) // die "$release: " . join(' ', slurp 'said') . "\n" };
	my ($same, $refused, $some, $wrong) = (0, 0, 0, 0);
	my @rows = map { { %$_, used => 0 } } grep { $release =~ /^(?:$_->{releases})$/ } @differences;
	for my $generated (@filters) {
		my $filter = $generated;
		# sysdig 0.29 knows a transfer's descriptor only if its filter selects the enter event.
		$filter = "($filter) or evt.dir = \">\"" if $release eq 'bookworm' && $filter =~ /evt\.buflen/;
		my $theirs = output(@run, $filter);
		if (!defined $theirs) {
			$refused++;
			next;
		}
		my %theirs = map { $number{$_} ? ($number{$_} => 1) : () } @$theirs;
		unlink 'said';
		my %ours = selected($filter);
		my @said = -e 'said' ? slurp 'said' : ();
		if (@said) {
			$wrong++;
			print "not ok\tsysdig of $release takes, and scapd refuses: $filter: @said\n";
			next;
		}
		my @differ = grep { $shown{$_} && !exists $theirs{$_} } keys %ours;
		push @differ, grep { !exists $ours{$_} } keys %theirs;
		for my $row (@differ ? grep { $filter =~ $_->{pattern} } @rows : ()) {
			my $events = $row->{events} //= excused($row, \@run);
			my @left = grep { !exists $events->{$_} } @differ;
			$row->{used}++ if @left < @differ;
			@differ = @left;
		}
		$some++ if %theirs && %theirs < %shown;
		if (@differ) {
			$wrong++;
			@differ = sort { $a <=> $b } @differ;
			my $which = join ', ', map { exists $ours{$_} ? "+$_" : "-$_" } @differ[0 .. ($#differ > 4 ? 4 : $#differ)];
			print "not ok\t$file: " . @differ . " events (+ scapd alone, - sysdig of $release alone: $which): $filter\n";
		} else {
			$same++;
		}
	}
	# Captures that are given do not have all that the table is about.
	for my $row ($capture =~ /^given-/ ? () : grep { !$_->{used} } @rows) {
		$wrong++;
		print "not ok\t$file: excuses nothing, for sysdig of $release: $row->{row}\n";
	}
	print "ok\tscapd and sysdig of $release select the same events of $file: $same filters, $some of them some events; "
		. "$refused others refused by sysdig\n" if !$wrong && $some >= @filters / 8;
	print "not ok\tsysdig of $release: too few filters select some events of $file: $some of " . @filters . "\n"
		if $some < @filters / 8;
}
