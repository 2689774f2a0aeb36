// What the peers' drivers share. A driver prints {"jobs", "seconds"}: from the start of draining to the last job done,
// without the start of node or the making of connections.
import { fork } from "node:child_process";
import { createRequire } from "node:module";

// Modules stand in build/npm, where scripts/setup --bench puts them.
export const load = createRequire(`${process.cwd()}/build/npm/peers.js`);

export const now = () => Number(process.hrtime.bigint()) / 1e9; // CLOCK_MONOTONIC: the same in all processes

export function options(defaults) {
  const given = { ...defaults };
  for (let i = 2; i < process.argv.length; i += 2) given[process.argv[i].replace(/^--/, "")] = process.argv[i + 1];
  return given;
}

// The five files of a job, the same for everybody; `job` counts from 0.
export const payload = (job) => ({
  series: `series-${job % 100}`,
  archive: `archive-${job}`,
  files: [0, 1, 2, 3, 4].map((n) => ({ source: `jobs/${String(job).padStart(5, "0")}/chapter-${n}.txt` })),
});

// Runs `prepare(options)` in so many processes, and when all are ready what that returned, at the same time.
export async function race(file, given, prepare) {
  if (process.send) {
    const work = await prepare(given);
    process.send("ready");
    await new Promise((resolve) => process.once("message", resolve));
    await work();
    process.send({ ended: now() });
    process.disconnect();
    return undefined;
  }
  const children = Array.from({ length: Number(given.processes) }, () => fork(file, process.argv.slice(2)));
  const message = (child) =>
    new Promise((resolve, reject) => {
      child.once("message", resolve);
      child.once("exit", (code) => code !== 0 && reject(new Error(`a worker ended with ${code}`)));
    });
  await Promise.all(children.map(message));
  const ended = children.map(message);
  const began = now();
  for (const child of children) child.send("go");
  const times = (await Promise.all(ended)).map(({ ended }) => ended);
  return Math.max(...times) - began;
}
