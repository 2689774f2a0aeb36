// node publish.js SERIES ARCHIVE SOURCE...
// Host, database, user and password come from PGHOST, PGDATABASE, PGUSER, PGPASSWORD or ~/.pgpass.
const { Client } = require('pg');

async function main([series, archive, ...sources]) {
  const files = sources.map((source) => ({ source }));
  const db = new Client(); // { host: 'db.example.org', database: 'zipmodule', user: 'cms' }
  await db.connect();
  try {
    await db.query('BEGIN');
    // ... what else belongs to the publish: it is committed with it, or not at all
    const { rows } = await db.query('SELECT job_id, revision FROM zipmodule.publish($1, $2, $3)', [
      series,
      archive,
      JSON.stringify(files), // pg would take a plain array for an SQL array
    ]);
    await db.query('COMMIT');
    console.log(`published ${series}/${archive}: job ${rows[0].job_id}, revision ${rows[0].revision}`);
  } catch (error) {
    await db.query('ROLLBACK');
    if (error.code !== '22023') throw error;
    // The list or an argument is wrong; the message names which, and the rule.
    console.error(`refused: ${error.message}`);
    process.exitCode = 1;
  } finally {
    await db.end();
  }
}

main(process.argv.slice(2));
