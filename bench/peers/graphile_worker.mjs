// graphile-worker as its own perfTest configures it: a local queue, and completions in batches.
//
//   node bench/peers/graphile_worker.mjs --dsn URI --jobs N                     jobs that do nothing
//   node bench/peers/graphile_worker.mjs --dsn URI --jobs N --content DIR --out DIR   archives, by archiver
//
// --fill yes only puts the jobs into the queue.
import { fileURLToPath } from "node:url";
import { archive } from "./archive.mjs";
import { load, options, payload, race } from "./peer.mjs";

const { runMigrations, runOnce, Logger } = load("graphile-worker");
const { Pool } = load("pg");
const given = options({ dsn: "", jobs: "0", processes: "1", concurrency: "24", local: "500", delay: "0", fill: "" });

// graphile-worker warns of pools without these.
function watch(pool) {
  const tell = (error) => console.error(error.message);
  pool.on("error", tell);
  pool.on("connect", (client) => client.on("error", tell));
}

async function remaining(pool) {
  return Number((await pool.query("SELECT count(*) FROM graphile_worker._private_jobs")).rows[0].count);
}

async function fill() {
  const pool = new Pool({ connectionString: given.dsn });
  watch(pool);
  await runMigrations({ pgPool: pool });
  for (let from = 0; from < given.jobs; from += 1000) {
    const payloads = [];
    for (let job = from; job < Math.min(from + 1000, given.jobs); ++job) payloads.push(payload(job));
    await pool.query(
      `SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
         SELECT json_populate_record(NULL::graphile_worker.job_spec,
                                     json_build_object('identifier', 'job', 'payload', job))
         FROM json_array_elements($1::json) AS job))`,
      [JSON.stringify(payloads)],
    );
  }
  await pool.query("VACUUM ANALYZE");
  if ((await remaining(pool)) !== Number(given.jobs)) throw new Error("the queue is not full");
  await pool.end();
}

async function prepare() {
  const concurrentJobs = Number(given.concurrency);
  const pool = new Pool({ connectionString: given.dsn, max: concurrentJobs + 1 });
  watch(pool);
  // Connections are made before the time begins.
  const clients = await Promise.all(Array.from({ length: concurrentJobs + 1 }, () => pool.connect()));
  for (const client of clients) client.release();
  const preset = {
    worker: {
      concurrentJobs,
      maxPoolSize: concurrentJobs + 1,
      localQueue: { size: Number(given.local), refetchDelay: { durationMs: 10 } },
      completeJobBatchDelay: Number(given.delay),
      failJobBatchDelay: Number(given.delay),
    },
  };
  const work = given.content ? (job) => archive(given.content, given.out, job) : () => {};
  const logger = new Logger(() => (level, message) => level === "error" && console.error(message));
  return async () => {
    await runOnce({ preset, pgPool: pool, noHandleSignals: true, logger, taskList: { job: work } });
    await pool.end();
  };
}

if (given.fill) {
  await fill();
} else {
  const seconds = await race(fileURLToPath(import.meta.url), given, prepare);
  if (seconds !== undefined) {
    const pool = new Pool({ connectionString: given.dsn });
    if ((await remaining(pool)) !== 0) throw new Error("jobs are left");
    await pool.end();
    console.log(JSON.stringify({ jobs: Number(given.jobs), seconds }));
  }
}
