// npm's unzipper as a judge (README.md): Open, which reads the central directory, and Parse, which reads on from the first
// byte. Argument: archive.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const unzipper = require('unzipper');

const archive = process.argv[2];

async function report(reader, name, vars, stream) {
  const hash = crypto.createHash('sha256');
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    hash.update(chunk);
  }
  const attributes = vars.externalFileAttributes;
  const mode = attributes === undefined ? '-' : (attributes >>> 16 & 0o7777).toString(8);
  const digest = name.endsWith('/') ? '-' : hash.digest('hex');
  const time = '~' + vars.lastModifiedDateTime.getTime() / 1000;
  console.log([reader, mode, time, size, digest, name].join('\t'));
}

async function main() {
  const directory = await unzipper.Open.file(archive);
  for (const file of directory.files) await report('unzipper Open', file.path, file, file.stream());
  const entries = fs.createReadStream(archive).pipe(unzipper.Parse({forceStream: true}));
  for await (const entry of entries) await report('unzipper Parse', entry.path, entry.vars, entry);
  console.log('end');
}

main();
