# Perl's Archive::Zip as a judge (README.md). Argument: archive. Needs TZ=UTC: it takes DOS times for local ones.
use strict;
use warnings;
use Archive::Zip qw(:ERROR_CODES);
use Digest::SHA;

my $archive = Archive::Zip->new;
exit 1 if $archive->read($ARGV[0]) != AZ_OK;
for my $member ($archive->members) {
    my ($size, $digest) = (0, Digest::SHA->new(256));
    # readChunk gives the bytes as they are packed, unless that is asked otherwise.
    $member->desiredCompressionMethod(Archive::Zip::COMPRESSION_STORED);
    die "can't read ", $member->fileName if $member->rewindData != AZ_OK;
    my $status = AZ_OK;
    while ($status == AZ_OK && !$member->isDirectory) {
        (my $block, $status) = $member->readChunk(1 << 20);
        die "can't read ", $member->fileName if $status != AZ_OK && $status != AZ_STREAM_END;
        $size += length $$block;
        $digest->add($$block);
    }
    $member->endRead;
    my $mode = sprintf '%o', $member->unixFileAttributes & 07777;
    my $time = '~' . $member->lastModTime;
    my $hex = $member->isDirectory ? '-' : $digest->hexdigest;
    my $name = $member->fileName;
    utf8::encode($name) if utf8::is_utf8($name);
    print join("\t", 'Archive::Zip', $mode, $time, $size, $hex, $name), "\n";
}
print "end\n";
