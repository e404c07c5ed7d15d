# Parses the text of arguments, in strace's form, to values: hashes with
#
#   text      of a number, a name, an expression: without blanks and comments; of a string: its bytes, as C writes them
#   string    whether it is a string; cut: whether '...' stands behind it
#   list      the values of '[...]'; not: whether it is '~[...]'
#   struct    the members of '{...}': pairs of a name ('' without one) and a value
#   after     the value behind '=>': what the call has made of this one
#
# '...' has the text '...'. A descriptor is its number: what it refers to ('<...>') is left out.
package Text;

use strict;
use warnings;

# arguments TEXT: the values of a list of arguments.
sub arguments {
	my ($text) = @_;
	pos($text) = 0;
	my @values = items(\$text, '');
	die "cannot parse: $text\n" if pos($text) < length $text;
	return @values;
}

# items TEXT END: the values up to the end of the text or a bracket, which is taken.
sub items {
	my ($text, $end) = @_;
	my @values;
	until ($$text =~ /\G\s*(?:\z|(?=[]})]))/gc) {
		push @values, value($text);
		$$text =~ /\G\s*,\s*/gc or last;
	}
	die "no $end: $$text\n" if $end ne '' && $$text !~ /\G\s*\Q$end\E/gc;
	return @values;
}

sub value {
	my ($text) = @_;
	my $value = single($text);
	$$text =~ m{\G(?:\s*/\*.*?\*/)+}gcs;
	$value->{after} = value($text) if $$text =~ /\G\s*=>\s*/gc;
	return $value;
}

my $string = qr/"((?:[^"\\]|\\.)*)"/s;

sub single {
	my ($text) = @_;
	$$text =~ m{\G\s*(?:/\*.*?\*/\s*)+}gcs;
	if ($$text =~ /\G$string(?=(?:\.\.\.)?\s*(?:[],}]|=>|\/\*|\z))(\.\.\.)?/gc) {
		return { string => 1, text => $1, cut => defined $2 };
	}
	return { list => [list_items($text)], not => defined $1 } if $$text =~ /\G(~)?\[/gc;
	return { struct => [members($text)] } if $$text =~ /\G\{/gc;
	return { text => expression($text) };
}

# list_items TEXT: what stands in a list: values, or names of signals with blanks between.
sub list_items {
	my ($text) = @_;
	my @values;
	until ($$text =~ /\G\s*\]/gc) {
		$$text =~ /\G\s*\[[\w., ]+\]\s*=\s*/gc; # the index of the element
		push @values, value($text);
		$$text =~ /\G\s*,?\s*/gc;
	}
	return @values;
}

sub members {
	my ($text) = @_;
	my @members;
	until ($$text =~ /\G\s*\}/gc) {
		my $name = $$text =~ /\G\s*(\w+)=(?!>)/gc ? $1 : '';
		push @members, [$name, value($text)];
		$$text =~ /\G\s*,\s*/gc || $$text =~ /\G(?=\s*\})/gc or die "a structure of another form: $$text\n";
	}
	return @members;
}

# expression TEXT: what is none of the above, up to a comma, a blank, or a bracket that it did not open.
sub expression {
	my ($text) = @_;
	my ($result, $depth, $start) = ('', 0, pos $$text);
	while (1) {
		if ($$text =~ m{\G\s*/\*.*?\*/}gcs) {
			next;
		} elsif ($$text =~ /\G(?<=[0-9D])(?:<(?![<=])(?:->|[^<>\\]|\\.)*>(?:\(deleted\))?|\(deleted\))/gc) {
			# What a descriptor refers to.
			next;
		} elsif ($$text =~ /\G($string|[^][(){},\s"<=]+|<+)/gc) {
			$result .= $1;
		} elsif ($$text =~ /\G(==?(?!>))/gc) {
			$result .= $1;
		} elsif ($$text =~ /\G([[({])/gc) {
			$result .= $1;
			$depth++;
		} elsif ($depth && $$text =~ /\G([])}])/gc) {
			$result .= $1;
			$depth--;
		} elsif ($depth && $$text =~ /\G(,)\s*/gc) {
			$result .= $1;
		} elsif ($$text =~ /\G(\s+or\s+)/gc) {
			$result .= $1; # names of the same number
		} elsif ($$text =~ /\G\s+(&&|\|\||==|\?|:|[|&])\s+/gc) {
			$result .= $1;
		} elsif ($depth && $$text =~ /\G\s+/gc) {
			next;
		} else {
			last;
		}
	}
	die "cannot parse at $start: $$text\n" if pos($$text) == $start;
	return $result;
}

1;
