# Every leaf that Perl's MIME::Parser finds in the files named on standard input, one after the other:
# a line "FILE LENGTH" and then the bytes.
use strict;
use warnings;
use MIME::Parser;

binmode STDOUT;
while (my $file = <STDIN>) {
    chomp $file;
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    $parser->ignore_errors(1);
    $parser->extract_nested_messages(1);
    $parser->extract_uuencode(1);
    my $entity = eval { $parser->parse_open($file) } or next;
    my @open = ($entity);
    while (my $part = shift @open) {
        push @open, $part->parts;
        my $body = $part->bodyhandle or next;
        my $bytes = $body->as_string;
        utf8::encode($bytes) if utf8::is_utf8($bytes);
        for my $extra ($part->preamble, $part->epilogue) {
            $bytes .= join '', @$extra if $extra && ref $extra;
        }
        print "$file ", length($bytes), "\n", $bytes;
    }
}
