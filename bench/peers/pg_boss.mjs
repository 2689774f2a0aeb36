// pg-boss: batches fetched and completed as such, by several loops at once.
//
//   node bench/peers/pg_boss.mjs --dsn URI --jobs N [--fill yes]
import { fileURLToPath } from "node:url";
import { load, options, payload, race } from "./peer.mjs";

const PgBoss = load("pg-boss");
const given = options({ dsn: "", jobs: "0", processes: "1", loops: "2", batch: "500", fill: "" });

// Nothing but the draining: no maintenance, no schedules.
async function start() {
  const boss = new PgBoss({ connectionString: given.dsn, max: 10, supervise: false, schedule: false });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  return boss;
}

async function fill() {
  const boss = await start();
  await boss.createQueue("job");
  for (let from = 0; from < given.jobs; from += 1000) {
    const jobs = [];
    for (let job = from; job < Math.min(from + 1000, given.jobs); ++job) jobs.push({ name: "job", data: payload(job) });
    await boss.insert(jobs);
  }
  await boss.stop({ graceful: false, wait: true });
}

async function prepare() {
  const boss = await start();
  await boss.getQueueSize("job");
  const batchSize = Number(given.batch);
  const loop = async () => {
    for (;;) {
      const jobs = await boss.fetch("job", { batchSize });
      if (jobs.length === 0) return;
      await boss.complete("job", jobs.map((job) => job.id));
    }
  };
  return async () => {
    await Promise.all(Array.from({ length: Number(given.loops) }, loop));
    setTimeout(() => process.exit(0), 1000).unref();
    void boss.stop({ graceful: false, wait: false });
  };
}

if (given.fill) {
  await fill();
  process.exit(0);
}
const seconds = await race(fileURLToPath(import.meta.url), given, prepare);
if (seconds !== undefined) {
  const boss = await start();
  if ((await boss.getQueueSize("job")) !== 0) throw new Error("jobs are left");
  console.log(JSON.stringify({ jobs: Number(given.jobs), seconds }));
  process.exit(0);
}
