// npm's @zip.js/zip.js as a judge (README.md), in its strict mode. Argument: archive.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const zip = require('@zip.js/zip.js');

async function main() {
  zip.configure({useWebWorkers: false});
  const archive = new zip.BlobReader(await fs.openAsBlob(process.argv[2]));
  // Names that Windows can't create are our writer's choice, not a mistake.
  const options = {strictness: 'strict', filenameValidation: 'balanced', checkSignature: true, checkOverlappingEntry: true};
  const reader = new zip.ZipReader(archive, options);
  for (const entry of await reader.getEntries()) {
    const hash = crypto.createHash('sha256');
    let size = 0;
    const into = new WritableStream({
      write(chunk) {
        size += chunk.length;
        hash.update(chunk);
      },
    });
    if (!entry.directory) await entry.getData(into);
    const mode = (entry.externalFileAttributes >>> 16 & 0o7777).toString(8);
    const time = '=' + Math.floor(entry.lastModDate.getTime() / 1000);
    console.log(['zip.js', mode, time, size, entry.directory ? '-' : hash.digest('hex'), entry.filename].join('\t'));
  }
  await reader.close();
  console.log('end');
}

main();
