# Compares the text of a call: strace's arguments and result with those of `scapd read --calls`.
package Decoded;

use strict;
use warnings;
use Config;
use Text;

no warnings 'portable'; # numbers of 64 bits

# compare STRACE SCAPD ARGUMENTS DIFFERS: compares a call. ARGUMENTS is what Tables::texts says. Calls DIFFERS with what differs
# ('1' for the second argument, '1.st_mode' for a member of its structure, 'result'), scapd's text and strace's. Returns how
# many arguments were compared, and how many scapd does not have: '...', of what points to nothing.
sub compare {
	my ($their, $our, $arguments, $differs) = @_;
	my %counts = (arguments => 0, unknown => 0);
	my @theirs = %$arguments ? Text::arguments($their->{text}) : ();
	my @ours = %$arguments ? Text::arguments($our->{text}) : ();
	for my $i (grep { $arguments->{$_} } 0 .. $#theirs) {
		my $value = $i < @ours ? $ours[$i] : @ours && is_unknown($ours[-1]) ? $ours[-1] : undef;
		if (!defined $value) {
			# The beginning of a call that has not returned.
			$differs->($i, 'none', show($theirs[$i])) if defined $our->{result};
			next;
		}
		$counts{ is_unknown($value) ? 'unknown' : 'arguments' }++;
		same($i, $value, $theirs[$i], $differs);
	}
	if (defined $their->{result} && defined $our->{result}) {
		my ($expected, $result) = map { result($_->{result}) } $their, $our;
		$differs->('result', $result, $expected) if $result ne $expected && !same_number($result, $expected);
	}
	return \%counts;
}

# result TEXT: without what a descriptor refers to and what strace says of the result.
sub result {
	my ($text) = @_;
	return $1 if $text =~ /^(-?\d+)</;
	return $text =~ /^(-1 \w+|\? \w+|\S+)/ ? $1 : $text;
}

sub is_unknown { ($_[0]{text} // '') eq '...' && !$_[0]{string} }

# same WHERE SCAPD STRACE DIFFERS: compares two values.
sub same {
	my ($where, $our, $their, $differs) = @_;
	my $fault = sub { $differs->($where, show($our), show($their)) };
	# scapd has what the call has made of a value.
	$their = made($their) if $their->{after} && !$our->{after};
	# A structure of a single member stands for a number in a list, or behind a pointer.
	$our = $our->{struct}[0][1] if $our->{struct} && @{ $our->{struct} } == 1 && !$their->{struct} && !is_unknown($our->{struct}[0][1]);
	if (is_unknown($our)) {
		# What points to nothing, to nothing that can be read, or has no length.
		$fault->() if !$their->{list} && ($their->{text} // '?') !~ /^(NULL|0x[0-9a-f]+|)$/ || @{ $their->{list} // [] };
	} elsif ($our->{struct} && $their->{struct}) {
		my %members = members($their);
		for my $member (@{ $our->{struct} }) {
			my ($name, $value) = @$member;
			next if $name eq '' && is_unknown($value);
			if (exists $members{$name}) {
				same("$where.$name", $value, $members{$name}, $differs);
			} else {
				$differs->("$where.$name", show($value), 'no member');
			}
		}
	} elsif ($our->{struct} && (my $status = wait_status($their))) {
		same($where, $our, $status, $differs);
	} elsif ($our->{struct} && $their->{list} && @{ $their->{list} } == 2) {
		# The times of access and of modification are one structure of scapd's.
		my ($atime, $mtime) = @{ $their->{list} };
		same($where, $our, { struct => [[atime => $atime], [mtime => $mtime]] }, $differs);
	} elsif ($their->{list} && !$our->{list} && @{ $their->{list} } == 1) {
		# A number that an argument points to.
		same($where, $our, $their->{list}[0], $differs);
	} elsif ($our->{list} && $their->{list}) {
		my @ours = @{ $our->{list} };
		my @theirs = @{ $their->{list} };
		return $fault->() if @ours != @theirs || !!$our->{not} != !!$their->{not};
		same("$where\[]", $ours[$_], $theirs[$_], $differs) for 0 .. $#ours;
	} elsif ($our->{string} && $their->{string}) {
		my ($text, $expected) = ($our->{text}, $their->{text});
		if ($our->{cut} || $their->{cut}) {
			my $shorter = length $text < length $expected ? length $text : length $expected;
			$_ = substr $_, 0, $shorter for $text, $expected;
		}
		$fault->() if $text ne $expected;
	} elsif (defined $our->{text} && defined $their->{text} && !$our->{string} && !$their->{string}) {
		$fault->() if !same_flags($our->{text}, $their->{text});
	} else {
		$fault->();
	}
	same("$where=>", $our->{after}, $their->{after}, $differs) if $our->{after} && $their->{after};
	return;
}

# made VALUE: what a call has made of a value: strace shows the members that it takes in front of '=>', and those that it
# returns behind it.
sub made {
	my ($value) = @_;
	return $value->{after} if !$value->{struct} || !$value->{after}{struct};
	return { struct => [@{ $value->{struct} }, @{ $value->{after}{struct} }] };
}

# members VALUE: the members of a structure by name; those of one in it also by theirs: it_value_sec for tv_sec of it_value.
sub members {
	my ($value) = @_;
	my %members;
	for my $member (@{ $value->{struct} }) {
		my ($name, $inner) = @$member;
		$members{$name} = $inner;
		for my $part (@{ $inner->{struct} // [] }) {
			$members{ $name . '_' . ($part->[0] =~ s/^tv_//r) } = $part->[1];
			$members{ $part->[0] } //= $part->[1]; # of msg_perm and its like
		}
	}
	return %members;
}

# wait_status VALUE: strace's status of a process as scapd's structure; undef if it is none.
sub wait_status {
	my ($value) = @_;
	my $text = show($value);
	$text =~ /^\[\{WIF([A-Z]+)\(s\)(?:&&W(?:EXITSTATUS|TERMSIG|STOPSIG)\(s\)==(\w+))?(&&WCOREDUMP\(s\))?\}\]$/ or return undef;
	my ($kind, $detail, $dumped) = ($1, $2 // 0, $3);
	$detail = 255 if $kind eq 'CONTINUED';
	my ($reason, $code) = $kind eq 'SIGNALED' ? ($detail . ($dumped ? '|CORE' : ''), 0) : ($kind, $detail);
	return { struct => [['reason', { text => $reason }], ['code', { text => $code }]] };
}

my @signals = split ' ', $Config{sig_name};
my %signal = map { ("SIG$signals[$_]" => $_) } 1 .. $#signals;

# The numbers of names, as flags.def has them,
our %numbers;
# and of those that strace alone has: of bits that the call does not take, of no bits, and of numbers.
my %strace_numbers = (
	AT_REMOVEDIR => 0x200, AT_SYMLINK_FOLLOW => 0x400, AT_RECURSIVE => 0x8000, FAN_DIR_MODIFY => 0x80000, FAN_NOFD => 0xffffffff, IPC_64 => 0x100, IPC_NOWAIT => 0x800,
	IPC_PRIVATE => 0, KEXEC_ARCH_DEFAULT => 0, LINUX_REBOOT_MAGIC1 => 0xfee1dead, LINUX_REBOOT_MAGIC2 => 0x28121969,
	MAP_ANONYMOUS => 0x20, MAP_PRIVATE => 2, O_ACCMODE => 3, PROC_SUPER_MAGIC => 0x9fa0, SIG_DFL => 0, SIG_IGN => 1,
);

# same_flags TEXT TEXT: whether both are the same names, in any order, and the same numbers. One of both may have a number, or
# other names, where the other has names that only it knows.
sub same_flags {
	my ($our, $their) = @_;
	return 1 if $our eq $their || same_number($our, $their);
	my ($ours, $theirs) = map { join '|', sort split /\|/, $_ } $our, $their;
	return 1 if $ours eq $theirs || defined $signal{$their} && $our eq $signal{$their};
	my ($one, $other) = map { sum($_) } $our, $their;
	return defined $one && defined $other && $one == $other;
}

# sum TEXT: the number of flags; undef if a name has none.
sub sum {
	my ($text) = @_;
	my $sum = 0;
	for my $name (split /\|/, $text) {
		my $number = number($name) // $numbers{$name} // $strace_numbers{$name} // return undef;
		$sum |= $number;
	}
	return $sum;
}

# same_number TEXT TEXT: whether both are the same number: in any base, with or without a sign, of 32 or 64 bits.
sub same_number {
	my ($our, $their) = map { number($_) } @_;
	return 0 if !defined $our || !defined $their;
	return $our == $their || ($our & 0xffffffff) == ($their & 0xffffffff) && grep { /^-/ } @_;
}

sub number {
	my ($text) = @_;
	return 0 if $text eq 'NULL';
	return oct $text if $text =~ /^0(x[0-9a-f]+|[0-7]*)$/;
	return unpack 'Q', pack 'q', $text if $text =~ /^-\d+$/;
	return $text if $text =~ /^\d+$/;
	return $1 * $2 if $text =~ /^(\d+)\*(\d+)$/;
	return $1 << $2 if $text =~ /^(\d+)<<(\d+)$/;
	return undef;
}

# show VALUE: its text.
sub show {
	my ($value) = @_;
	my $text = $value->{string} ? '"' . $value->{text} . '"' . ($value->{cut} ? '...' : '')
		: $value->{list} ? ($value->{not} ? '~' : '') . '[' . join(', ', map { show($_) } @{ $value->{list} }) . ']'
		: $value->{struct} ? '{' . join(', ', map { ($_->[0] eq '' ? '' : "$_->[0]=") . show($_->[1]) } @{ $value->{struct} }) . '}'
		: $value->{text};
	return $value->{after} ? "$text => " . show($value->{after}) : $text;
}

1;
