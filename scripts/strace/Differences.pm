# The differences that must stay: see strace-differences.txt.
package Differences;

use strict;
use warnings;

sub new {
	my ($class, $file) = @_;
	my @rows;
	open my $in, '<', $file or die "$file: $!\n";
	while (my $line = <$in>) {
		chomp $line;
		next if $line =~ /^(#|$)/;
		my @cells = split /; /, $line, -1;
		die "$file:$.: not five columns\n" if @cells != 5;
		push @rows, { line => $., text => $line, cells => [map { qr/^(?:$_)$/s } @cells], count => 0 };
	}
	return bless { rows => \@rows }, $class;
}

# excuses PASS CALL WHAT SCAPD STRACE: whether a row excuses the difference.
sub excuses {
	my ($self, @what) = @_;
	for my $row (@{ $self->{rows} }) {
		next if grep { $what[$_] !~ $row->{cells}[$_] } 0 .. $#what;
		$row->{count}++;
		return 1;
	}
	return 0;
}

sub rows { @{ $_[0]{rows} } }

1;
