// Node's yauzl as a judge: prints a line for everything that is wrong. Arguments: archive, expected folder, times.
'use strict';
const fs = require('fs');
const path = require('path');
const yauzl = require('yauzl');

const [archive, expected, times] = process.argv.slice(2);
const names = new Set();

function missing(folder, prefix) {
  for (const entry of fs.readdirSync(folder, {withFileTypes: true})) {
    const name = prefix + entry.name;
    if (entry.isDirectory()) missing(path.join(folder, entry.name), name + '/');
    else if (!names.has(name)) console.log('missing: ' + name);
  }
}

yauzl.open(archive, {lazyEntries: true, strictFileNames: true}, (error, zip) => {
  if (error) throw error;
  zip.on('error', (problem) => { throw problem; });
  zip.on('end', () => { if (expected) missing(expected, ''); });
  zip.on('entry', (entry) => {
    names.add(entry.fileName);
    if (entry.fileName.endsWith('/')) return zip.readEntry();
    zip.openReadStream(entry, (problem, stream) => {
      if (problem) throw problem;
      const chunks = [];
      stream.on('error', (broken) => { throw broken; });
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('end', () => {
        if (expected) {
          const source = path.join(expected, entry.fileName);
          if (!fs.existsSync(source)) console.log('not expected: ' + entry.fileName);
          else if (!fs.readFileSync(source).equals(Buffer.concat(chunks))) console.log('other bytes: ' + entry.fileName);
        }
        zip.readEntry();
      });
    });
  });
  zip.readEntry();
});
