#!/usr/bin/perl
# Compares strace's output with captures of the same runs, call by call.
#
#   strace.pl NAME...
#
# Each NAME is a run of which the current directory has NAME.strace and NAME.scap: a capture of strace tracing a workload,
# with the ending .raw (strace -e raw=all: registers) or .decoded. Prints 'ok' or 'not ok', a tab and a text for each
# result, then a report. strace-differences.txt has the differences that must stay.
#
# Environment: SCAPD (the program), ROOT (the source tree), REPORT (where the report goes), WHOLE (1 if these are all runs: a
# row that excuses nothing is an error then).

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/strace";
use JSON::PP;
use Align;
use Capture;
use Decoded;
use Differences;
use Lines;
use Raw;
use Tables;

my @runs = @ARGV;
my $tables = Tables->new($ENV{ROOT});
%Decoded::numbers = %{ $tables->numbers };
my $differences = Differences->new("$FindBin::Bin/strace-differences.txt");
my %report;

# scapd ARG...: a handle of the program's output.
sub scapd {
	open my $out, '-|', $ENV{SCAPD}, @_ or die "$ENV{SCAPD}: $!\n";
	return $out;
}

# done HANDLE: closes it; dies if the program failed.
sub done { close $_[0] or die "scapd read failed\n" }

sub listed {
	my $out = scapd('list', $_[0], '--json');
	local $/ = undef;
	my $list = decode_json(<$out>);
	done($out);
	return @$list;
}

# The names of the calls, and their numbers, by the names of their events.
my %event_name = map { $_->{number} => $_->{name} } grep { $_->{source} eq 'syscall' } listed('events');
my @calls = listed('syscalls');
my %call_of_event = map { $event_name{ $_->{exit_event} } => $_ } grep { defined $_->{exit_event} } @calls;
my %call_of_name = map { $_->{name} => $_ } @calls;
my %is_call = map { $_ => 1 } grep { $_ ne 'syscall' } keys %call_of_event;

# same_call STRACE SCAPD: whether they can be the same call: its number is the same.
sub same_call {
	my ($their, $our) = @_;
	my $call = ($our->{generic} ? $call_of_name{ $our->{name} } : $call_of_event{ $our->{name} }) // return 0;
	# What returns as an execve can be an execveat: see Capture.pm.
	return 1 if $our->{name} eq 'execve' && $our->{has} eq 'exit' && $their->{name} eq 'execveat';
	return 1 if defined $call->{number} && $call->{number} == $their->{number};
	# A 32-bit call is recorded as the 64-bit call that does the same.
	return same_name($their, $our->{generic} ? $our->{name} : $call->{name});
}

# same_name STRACE NAME: whether a call has the name; or is a 32-bit call, and that name is that of the 64-bit call.
sub same_name {
	my ($their, $name) = @_;
	return 1 if $their->{name} eq $name;
	my $number = ($call_of_name{$name} // {})->{number};
	return $their->{name} eq $name . '32' && defined $number && $number != $their->{number};
}

# own_threads CAPTURE: the thread of strace itself, and those that it does not trace: its helpers, which it started itself, and
# those that ask not to be traced.
sub own_threads {
	my ($capture) = @_;
	my $out = scapd('read', '--json', '-n', 1, $capture, 'evt.type = execve and evt.dir = <');
	my ($own) = (<$out> // '') =~ /"tid":(\d+)/ or die "$capture: no execve in it\n";
	done($out);
	my %hidden;
	$out = scapd('read', '--json', $capture, "thread.tid = $own and evt.type in (clone, clone3, fork, vfork) and evt.dir = <");
	while (my $line = <$out>) {
		$hidden{$1} = 'helper' if $line =~ /"res":\{"value":(\d+)/;
	}
	done($out);
	$out = scapd('read', '--json', $capture, 'evt.type in (clone, clone3) and evt.rawres = 0 and evt.arg.flags contains CLONE_UNTRACED');
	while (my $line = <$out>) {
		$hidden{$1} = 'untraced' if $line =~ /"tid":(\d+)/;
	}
	done($out);
	return ($own, \%hidden);
}

# differs RUN PASS CALL WHAT SCAPD STRACE: notes a difference.
my %differing;
sub differs {
	my ($run, $pass, @what) = @_;
	my ($call, $what, $our, $their) = @what;
	if ($differences->excuses($pass, @what)) {
		$report{$pass}{excused}++;
		return;
	}
	my $seen = $differing{"$run, $pass: $call, $what"} //= { count => 0, example => "scapd $our, strace $their" };
	$seen->{count}++;
	return;
}

# compare_raw RUN: compares the numbers of all calls of a run.
sub compare_raw {
	my ($run) = @_;
	open my $in, '<', "$run.raw.strace" or die "$run.raw.strace: $!\n";
	my $strace = Lines::read_lines('strace', $in);
	close $in;
	my ($own, $hidden) = own_threads("$run.raw.scap");
	my $out = scapd('read', '--json', "$run.raw.scap", "thread.tid != $own");
	my $scapd = Capture::read_events($out, \%is_call);
	done($out);
	my $same = sub {
		my ($their, $our) = @_;
		return 0 if !same_call($their, $our);
		my $counts = $report{raw}{calls}{ $their->{name} } //= { calls => 0, arguments => 0 };
		$counts->{calls}++;
		$counts->{arguments} += Raw::compare($their, $our, [$tables->arguments($our->{name}, $our->{generic})],
			sub { differs($run, 'raw', $their->{name}, @_) });
		return 1;
	};
	Align::aligned($strace, $scapd, $own, $hidden, $same, sub { print "not ok\t$run, raw: $_[0]\n" });
	return;
}

# texts_of CALL: the arguments whose text is compared.
sub texts_of {
	my ($name) = @_;
	my $call = $call_of_name{$name} // return {};
	my $event = defined $call->{exit_event} ? $event_name{ $call->{exit_event} } : undef;
	return defined $event && $call->{program} ? $tables->texts($event, 0) : $tables->texts($name, 1);
}

# compare_decoded RUN: compares the text of all calls of a run.
sub compare_decoded {
	my ($run) = @_;
	open my $in, '<', "$run.decoded.strace" or die "$run.decoded.strace: $!\n";
	my $strace = Lines::read_lines('strace', $in);
	close $in;
	my ($own, $hidden) = own_threads("$run.decoded.scap");
	my $out = scapd('read', '--calls', "$run.decoded.scap", "thread.tid != $own");
	my $scapd = Lines::read_lines('calls', $out);
	done($out);
	my $same = sub {
		my ($their, $our) = @_;
		return 0 if !same_name($their, $our->{name}) && !($our->{name} eq 'execve' && $their->{name} eq 'execveat');
		my $sum = $report{decoded}{calls}{ $their->{name} } //= { calls => 0, arguments => 0, unknown => 0 };
		my $counts = Decoded::compare($their, $our, texts_of($our->{name}), sub { differs($run, 'decoded', $their->{name}, @_) });
		$sum->{calls}++;
		$sum->{$_} += $counts->{$_} for keys %$counts;
		return 1;
	};
	Align::aligned($strace, $scapd, $own, $hidden, $same, sub { print "not ok\t$run, decoded: $_[0]\n" });
	return;
}

# write_report FILE: how much was compared.
sub write_report {
	my ($file) = @_;
	open my $out, '>', $file or die "$file: $!\n";
	my %names = map { $_ => 1 } map { keys %{ $_->{calls} } } values %report;
	for my $pass (qw(raw decoded)) {
		my $calls = $report{$pass}{calls} // {};
		my %sum;
		for my $counts (values %$calls) { $sum{$_} += $counts->{$_} for keys %$counts }
		printf $out "%s: %d calls of %d names, %d arguments compared%s, %d differences excused\n", $pass, $sum{calls} // 0,
			scalar keys %$calls, $sum{arguments} // 0,
			($pass eq 'decoded' ? ', ' . ($sum{unknown} // 0) . ' that scapd does not have' : ''), $report{$pass}{excused} // 0;
	}
	printf $out "%-24s %10s %10s %10s %10s %10s\n", 'call', 'raw', 'arguments', 'decoded', 'arguments', 'not had';
	for my $name (sort keys %names) {
		my ($raw, $decoded) = map { $report{$_}{calls}{$name} // {} } qw(raw decoded);
		printf $out "%-24s %10d %10d %10d %10d %10d\n", $name, map { $_ // 0 } @$raw{qw(calls arguments)},
			@$decoded{qw(calls arguments unknown)};
	}
	for my $row ($differences->rows) {
		print $out "excused $row->{count} times: $row->{text}\n";
	}
	close $out or die "$file: $!\n";
	return;
}

for my $run (@runs) {
	compare_raw($run);
	compare_decoded($run);
}
for my $what (sort keys %differing) {
	my $seen = $differing{$what};
	print "not ok\t$what: $seen->{example}", ($seen->{count} > 1 ? " ($seen->{count} times)" : ''), "\n";
}
for my $pass (qw(raw decoded)) {
	my $compared = 0;
	$compared += $_->{arguments} for values %{ $report{$pass}{calls} // {} };
	print $compared ? "ok\t$pass: $compared arguments of calls are strace's, or excused\n" : "not ok\t$pass: nothing was compared\n";
}
if ($ENV{WHOLE}) {
	print "not ok\tstrace-differences.txt:$_->{line} excuses nothing: $_->{text}\n" for grep { !$_->{count} } $differences->rows;
}
write_report($ENV{REPORT});
