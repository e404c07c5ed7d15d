# Compares the numbers of a call: strace's registers (strace -e raw=all) with the parameters that are an argument as it is.
package Raw;

use strict;
use warnings;
use Errno ();
use Capture;

no warnings 'portable'; # numbers of 64 bits

# Errors of the kernel that programs do not see: a call that a signal interrupts.
my %internal = (ERESTARTSYS => 512, ERESTARTNOINTR => 513, ERESTARTNOHAND => 514, ENOIOCTLCMD => 515,
	ERESTART_RESTARTBLOCK => 516);

# returned TEXT: the number that strace's result stands for, an error as a negative one.
sub returned {
	my ($text) = @_;
	if ($text =~ /^(?:-1|\?) (E\w+)/) {
		my $number = $internal{$1} // do { no strict 'refs'; defined &{"Errno::$1"} ? &{"Errno::$1"}() : undef };
		return defined $number ? -$number : undef;
	}
	return -$1 if $text =~ /^-1 \(errno (\d+)\)/;
	return hex $1 if $text =~ /^(0x[0-9a-f]+)/;
	return $text =~ /^(-?\d+)/ ? $1 : undef;
}

# cut NUMBER BITS: the low bits of a number; with their sign if BITS is negative.
sub cut {
	my ($number, $bits) = @_;
	my $size = abs $bits;
	$number = unpack 'Q', pack $number < 0 ? 'q' : 'Q', $number;
	$number &= (1 << $size) - 1 if $size < 64;
	return $number if $bits > 0;
	return unpack 'q', pack 'Q', $number if $size == 64;
	return $number >= 1 << $size - 1 ? $number - (1 << $size) : $number;
}

# is_cut VALUE EXPECTED: whether a value is the low half of a number.
sub is_cut {
	my ($value, $expected) = @_;
	return $value eq cut($expected, 32) || $value eq cut($expected, -32);
}

# compare STRACE SCAPD PARAMETERS DIFFERS: compares a call. PARAMETERS is what Tables::arguments says. Calls DIFFERS with
# what differs, scapd's value and strace's. Returns how many arguments were compared.
sub compare {
	my ($their, $our, $parameters, $differs) = @_;
	my @registers = split /, /, $their->{text};
	my $count = 0;
	for my $parameter (@$parameters) {
		my $name = $parameter->{name};
		next if !exists $our->{args}{$name}; # in the exit event alone, or from a later schema
		my $register = $registers[ $parameter->{argument} ];
		if (!defined $register) {
			# strace knows how many arguments a call has.
			$differs->($name, 'argument ' . $parameter->{argument}, 'none');
			next;
		}
		my $value = Capture::number($our->{args}{$name});
		my $expected = cut(hex $register, $parameter->{bits});
		# The format has some 32-bit arguments in 64 bits, and others the other way round.
		$differs->($name, $value // 'none', $expected)
			if !defined $value || cut($value, $parameter->{bits}) != $expected && !is_cut($value, $expected);
		$count++;
	}
	if (defined $their->{result} && defined $our->{result}) {
		my $expected = returned($their->{result}) // die "a result of another form: $their->{result}\n";
		# The format has some results in 32 bits.
		$differs->('result', $our->{result}, $expected) if cut($our->{result}, -64) != cut($expected, -64);
	}
	return $count;
}

1;
