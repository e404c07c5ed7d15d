# Reads strace's output (`strace -f -n -a 1 -o FILE`), and the lines of `scapd read --calls`, which have the same form.
#
# A call is a hash of
#
#   name, number  of the call; the number only from strace
#   text          the text of its arguments
#   result        what stands behind the '='; undef for a call that has not returned
#   has           'exit' if scapd has only the exit event
package Lines;

use strict;
use warnings;
use Threads;

# The forms of the beginning of a line: thread, number of the call. scapd has the time in front, and the name of the process.
my %head = (
	strace => qr/^(\d+) +(?:\[ *(\d+)\] )?/,
	calls => qr/^\d\d:\d\d:\d\d\.\d{6} (-?\d+)<(?:\\.|[^>\\])*> ()/,
);

# read FORM FILE-HANDLE: returns the threads.
sub read_lines {
	my ($form, $in) = @_;
	my $threads = Threads->new;
	my %open;
	my $head = $head{$form} // die "no such form of lines: $form\n";
	while (my $line = <$in>) {
		chomp $line;
		my ($tid, $number) = $line =~ $head or die "a line of another form: $line\n";
		my $rest = substr $line, $+[0];
		# A line of scapd without a duration is that of an exit event alone.
		my $is_exit = $form eq 'calls' && $rest !~ s/ <\d+\.\d{6}>$//;
		if ($rest =~ /^\+\+\+ superseded by execve in pid (\d+) \+\+\+$/) {
			# The other thread goes on with the id of this one. Its call is in both lives, and returns in the second.
			my $exec = delete $open{$1} // die "no call of $1 supersedes: $line\n";
			$threads->ends($_, 'superseded') for $tid, $1;
			$open{$tid} = {%$exec};
			push @{ $threads->life($tid)->{calls} }, $open{$tid};
		} elsif ($rest =~ /^\+\+\+ (exited|killed) .*\+\+\+$/) {
			delete $open{$tid};
			$threads->ends($tid, $1);
		} elsif ($rest =~ /^---.*---$/ || $rest =~ /^\[ Process PID=\d+ runs in .* mode\. \]$/ || $rest =~ /^io_uring /) {
			# A signal, or another line that is no call.
		} elsif ($rest eq '???( <unfinished ...>' || $rest =~ /^<\.\.\. \?\?\? resumed>/) {
			# Killed while strace held it at the entry of a call, which it thus does not make.
		} elsif ($rest =~ /^<\.\.\. (\w+) resumed>(.*)$/s) {
			my $call = delete $open{$tid} // die "a call that is resumed has not begun: $line\n";
			die "another call is resumed: $line\n" if $call->{name} ne $1;
			ends($call, $call->{text} . $2, $line);
			$call->{result} = Threads::messages($call->{name}, $call->{result}) if $form eq 'calls' && exists $call->{result};
			$open{$tid} = $call if !exists $call->{result};
		} elsif ($rest =~ /^(\w+)\((.*)$/s) {
			my ($call, $text, $life) = ({ name => $1, number => $number }, $2, $threads->life($tid));
			if ($is_exit && $call->{name} eq 'execve' && ($open{$tid}{name} // '') eq 'execveat') {
				# The kernel shows the return of an execveat as that of an execve.
				$call = delete $open{$tid};
				ends($call, $call->{text} . '...' . ($text =~ s/^.*(?=\))//sr), $line);
				next;
			}
			next if $is_exit && Threads::is_further_message($life, $call->{name});
			$call->{has} = 'exit' if $is_exit && $text !~ /<unfinished \.\.\.>$/;
			push @{ $life->{calls} }, $call;
			ends($call, $text, $line);
			$call->{result} = Threads::messages($call->{name}, $call->{result}) if $form eq 'calls' && exists $call->{result};
			$open{$tid} = $call if !exists $call->{result};
		} else {
			die "a line of another form: $line\n";
		}
	}
	return $threads;
}

# ends CALL TEXT LINE: takes the text behind the parenthesis for the arguments and the result of a call.
sub ends {
	my ($call, $text, $line) = @_;
	if ($text =~ s/,? ?<unfinished \.\.\.>\) += \?$// || $text =~ s/ ?<(unfinished|pid changed to \d+) \.\.\.>$//) {
		$call->{text} = $text;
	} elsif ($text =~ /^(.*)\) += (.*?)$/s) {
		($call->{text}, $call->{result}) = ($1, $2);
	} else {
		die "a call without an end: $line\n";
	}
	# A call that goes on after a signal says which it was.
	$call->{text} = '' if $call->{name} eq 'restart_syscall';
	# Killed in the call, strace cannot ask for its result.
	$call->{result} = undef if ($call->{result} // '') =~ /^\?( <unavailable>)?$/ && exists $call->{result};
	return;
}

1;
