// One archive by archiver, as durable as a zipmodule build: file synced, renamed, folder synced.
import { createWriteStream } from "node:fs";
import { open, rename } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { load } from "./peer.mjs";

const archiver = load("archiver");

export async function archive(content, out, job) {
  const temporary = `${out}/tmp/${job.archive}.zip`;
  const file = createWriteStream(temporary, { flush: true }); // fsync before it closes
  const zip = archiver("zip", { zlib: { level: 6 } });
  zip.pipe(file);
  for (const { source } of job.files) zip.file(`${content}/${source}`, { name: source.split("/").at(-1) });
  await Promise.all([zip.finalize(), finished(file)]);
  await rename(temporary, `${out}/public/${job.archive}.zip`);
  const folder = await open(`${out}/public`, "r");
  await folder.sync();
  await folder.close();
}
