<?php
// PHP's ZipArchive as a judge (README.md): it is libzip, here with its checks for consistency. Argument: archive.
// Needs TZ=UTC: it takes DOS times for local ones.
$archive = new ZipArchive();
$opened = $archive->open($argv[1], ZipArchive::RDONLY | ZipArchive::CHECKCONS);
if ($opened !== true) {
    fwrite(STDERR, "ZipArchive::open: $opened\n");
    exit(1);
}
for ($i = 0; $i < $archive->numFiles; $i++) {
    $entry = $archive->statIndex($i);
    $folder = str_ends_with($entry['name'], '/');
    $size = 0;
    $hash = hash_init('sha256');
    $stream = $folder ? false : $archive->getStreamIndex($i);
    while ($stream !== false && !feof($stream)) {
        $block = fread($stream, 1 << 20);
        $size += strlen($block);
        hash_update($hash, $block);
    }
    $archive->getExternalAttributesIndex($i, $system, $attributes);
    $mode = sprintf('%o', $attributes >> 16 & 07777);
    $digest = $folder ? '-' : hash_final($hash);
    echo implode("\t", ['ZipArchive', $mode, '~' . $entry['mtime'], $size, $digest, $entry['name']]), "\n";
}
echo "end\n";
