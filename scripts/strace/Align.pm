# Puts the calls of a run in two sources beside each other, thread by thread.
package Align;

use strict;
use warnings;

# aligned STRACE SCAPD STRACE-TID HIDDEN SAME FAULT: calls SAME with strace's call and scapd's for each pair; it returns
# whether they can be the same call. Calls FAULT with a text for what only one of them has. STRACE-TID is the thread of
# strace itself; HIDDEN are those that it does not trace: 'helper' or 'untraced'.
#
# These calls are in one source only, and no others:
# - what the thread of the command did before its execve, which is the first that strace traces;
# - threads that strace started for itself: they never execute a program; and those that CLONE_UNTRACED hides from it;
# - the last call of a thread that was killed in it: the kernel takes notice of the signal before or after strace and the
#   tracepoints see the call. strace then shows it without a result. It has no events; or the events that a thread makes
#   that is killed while strace holds it at the beginning of the call: an exit event with ENOSYS.
sub aligned {
	my ($strace, $scapd, $own, $hidden, $same, $fault) = @_;
	my $first = $strace->{lives}[0]{tid};
	my ($left, $right) = ($strace->by_name, $scapd->by_name);
	for my $name (sort keys %$right) {
		next if $left->{$name} || $right->{$name}{tid} == $own;
		my $why = $hidden->{ $right->{$name}{tid} } // '';
		my @calls = @{ $right->{$name}{calls} };
		next if !@calls || $why eq 'untraced' || $why eq 'helper' && !grep { $_->{name} =~ /^execve/ } @calls;
		$fault->("thread $name is not in strace's output: $calls[0]{name}");
	}
	for my $name (sort keys %$left) {
		my @theirs = @{ $left->{$name}{calls} };
		my @ours = @{ ($right->{$name} // { calls => [] })->{calls} };
		if ($name eq $first) {
			shift @ours while @ours && $ours[0]{name} ne $theirs[0]{name};
		}
		align_life($name, $left->{$name}{end} // 'exited', \@theirs, \@ours, $same, $fault);
	}
	return;
}

sub align_life {
	my ($name, $end, $theirs, $ours, $same, $fault) = @_;
	my $count = 0;
	while (@$theirs) {
		my ($their, $our) = (shift @$theirs, shift @$ours);
		$count++;
		if (!$our) {
			return if !@$theirs && !defined $their->{result} && $end ne 'exited';
			$fault->("thread $name: scapd does not have call $count, $their->{name}, of " . ($count + @$theirs));
			return;
		}
		if (!$same->($their, $our)) {
			$fault->("thread $name: call $count is $their->{name} in strace, $our->{name} in scapd");
			return;
		}
		if (defined $their->{result} != defined $our->{result}) {
			my $is_killed = !@$theirs && !defined $their->{result};
			$fault->("thread $name: call $count, $their->{name}, returned in " . (defined $our->{result} ? 'scapd' : 'strace') .
				' alone') if !$is_killed;
		}
	}
	shift @$ours if @$ours && $end eq 'killed' && is_killed_at_entry($ours->[0]);
	$fault->("thread $name: strace does not have $ours->[0]{name} and " . $#$ours . " calls behind it") if @$ours;
	return;
}

sub is_killed_at_entry {
	my ($call) = @_;
	return ($call->{has} // '') eq 'exit' && ($call->{result} // '') =~ /^(-38$|-1 ENOSYS)/;
}

1;
