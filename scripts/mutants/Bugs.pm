# SPDX-License-Identifier: Apache-2.0
# The table of bugs: reads bugs/*.bugs. Their form is told in docs/mutants.md.
package Bugs;

use strict;
use warnings;
use File::Basename qw(basename dirname);

# Bugs in the order of the files and of the lines in them; dies with every mistake that is found.
sub read_all {
	my ($folder) = @_;
	my (@bugs, @mistakes, %seen);

	for my $file (sort glob("$folder/*.bugs")) {
		push @bugs, read_file($file, \@mistakes);
	}
	for my $bug (@bugs) {
		my $where = "$bug->{origin}: bug $bug->{name}";
		push @mistakes, "$where is there twice" if $seen{$bug->{name}}++;
		push @mistakes, "$where: a name has small letters, digits and dashes" if $bug->{name} !~ /^[a-z][a-z0-9-]*$/;
		for my $key (qw(wrong case)) {
			push @mistakes, "$where has no '$key:'" if !length($bug->{$key} // "");
		}
		push @mistakes, "$where changes nothing" if !@{$bug->{hunks}};
		push @mistakes, "$where: no line that it adds has BUG" if !grep { /\bBUG\b/ } map { @{$_->{new}} } @{$bug->{hunks}};
		for my $hunk (@{$bug->{hunks}}) {
			push @mistakes, "$where: lines before any 'file:'" if !length($hunk->{file} // "");
			push @mistakes, "$where: nothing to find in $hunk->{file}" if !@{$hunk->{old}};
		}
	}
	die join("\n", @mistakes) . "\n" if @mistakes;
	die "$folder has no *.bugs\n" if !@bugs;
	return @bugs;
}

sub read_file {
	my ($path, $mistakes) = @_;
	my (@bugs, $bug, $hunk, $file, $in);

	open(my $input, "<", $path) or die "$path: $!\n";
	while (my $line = <$input>) {
		chomp $line;
		my $origin = basename($path) . ":$.";
		if ($line =~ /^#/ || $line =~ /^$/) {
			undef $hunk;
		} elsif ($line =~ /^bug:\s*(\S+)\s*$/) {
			$bug = { name => $1, origin => $origin, area => basename($path, ".bugs"), hunks => [] };
			push @bugs, $bug;
			undef $_ for ($hunk, $file, $in);
		} elsif (!$bug) {
			push @$mistakes, "$origin: '$line' belongs to no bug";
		} elsif ($line =~ /^file:\s*(\S+)\s*$/) {
			($file, $in, $hunk) = ($1, undef, undef);
		} elsif ($line =~ /^in:\s*(\w+)\s*$/) {
			($in, $hunk) = ($1, undef);
		} elsif ($line =~ /^(wrong|case|unseen):\s*(.+?)\s*$/) {
			$bug->{$1} = length($bug->{$1} // "") ? "$bug->{$1} $2" : $2;
		} elsif ($line =~ /^([-+ ])(.*)$/) {
			if (!$hunk) {
				$hunk = { file => $file, in => $in, old => [], new => [], origin => $origin };
				push @{$bug->{hunks}}, $hunk;
			}
			push @{$hunk->{old}}, $2 if $1 ne "+";
			push @{$hunk->{new}}, $2 if $1 ne "-";
		} else {
			push @$mistakes, "$origin: cannot make sense of '$line'";
		}
	}
	close($input);
	return @bugs;
}

# The variable that tells whether a bug is on.
sub variable {
	my ($bug) = @_;
	my $word = $bug->{name};

	$word =~ tr/-/_/;
	return "bpftest_bug_$word";
}

1;
