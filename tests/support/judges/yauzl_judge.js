// Node's yauzl as a judge (README.md). Argument: archive. Needs TZ=UTC: it takes DOS times for local ones.
'use strict';
const crypto = require('crypto');
const yauzl = require('yauzl');

function report(entry, size, digest) {
  const mode = (entry.externalFileAttributes >>> 16 & 0o7777).toString(8);
  const time = yauzl.dosDateTimeToDate(entry.lastModFileDate, entry.lastModFileTime).getTime() / 1000;
  console.log(['yauzl', mode, '~' + time, size, digest, entry.fileName].join('\t'));
}

yauzl.open(process.argv[2], {lazyEntries: true, strictFileNames: true}, (error, zip) => {
  if (error) throw error;
  zip.on('error', (problem) => { throw problem; });
  zip.on('end', () => console.log('end'));
  zip.on('entry', (entry) => {
    if (entry.fileName.endsWith('/')) {
      report(entry, 0, '-');
      return zip.readEntry();
    }
    zip.openReadStream(entry, (problem, stream) => {
      if (problem) throw problem;
      const hash = crypto.createHash('sha256');
      let size = 0;
      stream.on('error', (broken) => { throw broken; });
      stream.on('data', (chunk) => {
        size += chunk.length;
        hash.update(chunk);
      });
      stream.on('end', () => {
        report(entry, size, hash.digest('hex'));
        zip.readEntry();
      });
    });
  });
  zip.readEntry();
});
