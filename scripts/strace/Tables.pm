# What the recorder's tables say of the arguments of each call: which parameter has which argument, and whether it is the
# argument itself.
#
# The calls without a program of their own are rows of include/extensions.def, which name the argument of each parameter.
# The others are rows of include/events.def; src/print/calls/table.rs has their arguments in C's order.
package Tables;

use strict;
use warnings;

# Types whose value is an argument as it is: how many bits of it, and whether they have a sign. A long of a 64-bit program
# has 64 bits.
my %bits = (
	INT8 => -8, INT16 => -16, INT32 => -32, INT64 => -64, UINT8 => 8, UINT16 => 16, UINT32 => 32, UINT64 => 64,
	FD => -32, PID => -32, UID => 32, GID => 32, SIGTYPE => 8, BOOL => 32, MODE => 32, ERRNO => -64,
	FLAGS8 => 8, FLAGS16 => 16, FLAGS32 => 32, FLAGS64 => 64, ENUMFLAGS8 => 8, ENUMFLAGS16 => 16, ENUMFLAGS32 => 32,
	SIGSET => 32,
);

# Lists of flags.def whose numbers are the format's, not the kernel's.
my %own_numbers = map { $_ => 1 } qw(
	clone_flags close_range_flags creat_flags delete_module_flags epoll_create1_flags execveat_flags fchownat_flags
	fcntl_commands file_flags finit_module_flags futex_operations io_uring_enter_flags io_uring_setup_flags linkat_flags
	memfd_create_flags mlock2_flags mlockall_flags mmap_flags mount_flags newfstatat_flags openat2_flags pidfd_open_flags
	prot_flags ptrace_requests quotactl_cmds renameat2_flags rlimit_resources semctl_commands semget_flags shutdown_how
	sockopt_levels sockopt_options splice_flags umount_flags unlinkat_flags
);

# Types whose text the second pass compares.
my %is_text = map { $_ => 1 } qw(FSPATH FSRELPATH CHARBUF);

# Forms of table.rs that show a number otherwise, but have the argument itself.
my %plain_form = map { $_ => 1 } qw(octal hex number pointer u32 id);

# slurp FILE: returns its text without C comments.
sub slurp {
	my ($name) = @_;
	open my $in, '<', $name or die "$name: $!\n";
	local $/ = undef;
	my $text = <$in>;
	close $in;
	return $text =~ s{/\*.*?\*/}{}gsr;
}

# plain PARAMETER TYPE LIST ARGUMENT: an argument that the parameter has as it is, for `arguments` below.
sub plain {
	my ($name, $type, $list, $argument) = @_;
	return if !$bits{$type} || defined $list && $own_numbers{$list};
	return { name => $name, bits => $bits{$type}, argument => $argument };
}

# of_extensions FILE: the rows of CALL: by call, what `arguments` returns.
sub of_extensions {
	my ($file) = @_;
	my %calls;
	for my $row (slurp($file) =~ /^CALL\((.*?)(?=^\w+\(|\z)/gms) {
		my ($call) = $row =~ /^(\w+)/;
		my (@plain, %known);
		while ($row =~ /\bA\(([^()]*)\)/g) {
			my ($name, $type, undef, undef, $source, $argument) = split /,\s*/, $1;
			$known{$argument} = 1;
			# WIDE and PAIR are one argument of 64-bit programs; the arguments behind a PAIR have their number.
			push @plain, plain($name, $type, undef, $argument) if $source =~ /^(VALUE|WIDE|PAIR)$/;
		}
		$calls{$call} = { plain => \@plain, known => \%known };
	}
	return \%calls;
}

# of_events EVENTS TABLE: the same for the rows of events.def, by the names of the events.
sub of_events {
	my ($events, $table) = @_;
	my %types;
	for my $row (slurp($events) =~ /^EVENT_(?:FIXED|VAR)\s*\((.*?)(?=^EVENT_|\z)/gms) {
		my ($name) = $row =~ /^\w+,\s*\d+,\s*\w+,\s*(\w+)/;
		while ($row =~ /\bP(?:_\d_\d+)?\(([^()]*)\)/g) {
			my ($param, $type, undef, $list) = split /,\s*/, $1;
			$types{$name}{$param} = [$type, $list];
		}
	}
	my %calls;
	my ($rows) = slurp($table) =~ /^const CALLS:.*?= &\[(.*?)^\];/ms or die "$table: no table of calls\n";
	while ($rows =~ /\("(\w+)", "([^"]*)"\)/g) {
		my ($name, @words) = ($1, split ' ', $2);
		my (@plain, %known);
		for my $argument (0 .. $#words) {
			my ($params, $form) = split /:/, $words[$argument];
			for my $param (split /\|/, $params) {
				my ($type, $list) = @{ $types{$name}{$param} // next };
				$known{$argument} = 1 if $is_text{$type} || defined $list && $own_numbers{$list};
				push @plain, plain($param, $type, $list, $argument) if !defined $form || $plain_form{$form};
			}
		}
		$calls{$name} = { plain => \@plain, known => \%known };
	}
	return \%calls;
}

# of_flags FILE: the numbers of the names in the kernel's tables of flags.def.
sub of_flags {
	my ($file) = @_;
	no warnings 'portable'; # numbers of 64 bits
	my %numbers;
	my $text = slurp($file);
	while ($text =~ /^FLAG\((\w+), (\w+), (\w+)\)/gm) {
		my ($table, $name, $number) = ($1, $2, $3);
		$numbers{$name} //= $number =~ /^0x/ ? hex $number : $number if !$own_numbers{$table};
	}
	return \%numbers;
}

# new ROOT: reads the tables of the source tree.
sub new {
	my ($class, $root) = @_;
	return bless {
		extensions => of_extensions("$root/include/extensions.def"),
		flags => of_flags("$root/include/flags.def"),
		events => of_events("$root/include/events.def", "$root/src/print/calls/table.rs"),
	}, $class;
}

# arguments EVENT IS_GENERIC: the arguments that a call's event has as they are: a list of hashes: `name` of the parameter,
# `bits` (negative: with a sign), `argument` (its number, from 0).
sub arguments {
	my ($self, $name, $is_generic) = @_;
	my $row = $self->{ $is_generic ? 'extensions' : 'events' }{$name};
	return $row ? @{ $row->{plain} } : ();
}

# numbers: the numbers of names, for Decoded.pm.
sub numbers { $_[0]{flags} }

# texts EVENT IS_GENERIC: the numbers of the arguments whose text the second pass compares, as the keys of a hash: those of a
# row in extensions.def; of another event, texts, and flags that the first pass cannot compare.
sub texts {
	my ($self, $name, $is_generic) = @_;
	return ($self->{ $is_generic ? 'extensions' : 'events' }{$name} // {})->{known} // {};
}

1;
