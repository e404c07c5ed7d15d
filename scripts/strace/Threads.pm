# The calls of each thread of a run, from the two sources that strace.pl compares.
#
# A source is a list of the lives of threads, since ids of threads are used again: a hash of
#
#   tid     the id
#   calls   its calls in their order; see Capture.pm and Lines.pm
#   end     how it ended: 'exited', 'killed', 'superseded' (by the exec of another thread of its process); undef at the end
#           of the run
package Threads;

use strict;
use warnings;

# messages CALL RESULT: the result of a call. sendmmsg and recvmmsg return a number of messages; but scapd has an exit event for
# each message, with its length, if there is one.
sub messages {
	my ($name, $result) = @_;
	return $name =~ /^(send|recv)mmsg$/ && defined $result && $result =~ /^\d/ && $result > 0 ? 1 : $result;
}

# is_further_message LIFE CALL: whether the exit event of a call without an enter event is that of a further message of the
# last call; counts it.
sub is_further_message {
	my ($life, $name) = @_;
	my $last = $life->{calls}[-1];
	return 0 if $name !~ /^(send|recv)mmsg$/ || !$last || $last->{name} ne $name || !defined $last->{result};
	$last->{result}++;
	return 1;
}

sub new { bless { lives => [], now => {} }, $_[0] }

# life TID: the life of a thread that now has the id.
sub life {
	my ($self, $tid) = @_;
	return $self->{now}{$tid} //= do {
		my $life = { tid => $tid, calls => [] };
		push @{ $self->{lives} }, $life;
		$life;
	};
}

# ends TID HOW: the thread ends.
sub ends {
	my ($self, $tid, $how) = @_;
	$self->life($tid)->{end} = $how;
	delete $self->{now}{$tid};
}

# by_name: the lives by 'tid' or, for further ones with the same id, 'tid#2'.
sub by_name {
	my ($self) = @_;
	my (%seen, %lives);
	for my $life (@{ $self->{lives} }) {
		my $number = ++$seen{ $life->{tid} };
		$lives{ $life->{tid} . ($number > 1 ? "#$number" : '') } = $life;
	}
	return \%lives;
}

1;
