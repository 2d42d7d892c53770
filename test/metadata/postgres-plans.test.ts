import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { migrate } from '../../metadata/migrations.ts'
import { build } from '../../metadata/postgres/connection.ts'
import { factQueries } from '../../metadata/queries.ts'
import type { Sql, Statement } from '../../metadata/sql.ts'
import { newUploadId } from '../../oci/name.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'
import { countCalls, everyQuery, wholeTables } from './every-query.ts'

const server = sharedPostgres()

/** Tables are small here, where reading them whole is best: what remains then has no index to go through. */
const forced = ['seqscan', 'sort', 'bitmapscan', 'hashjoin', 'mergejoin', 'incremental_sort']

/** A database that notes how PostgreSQL goes about each statement. */
async function explainedDatabase(client: pg.Client) {
  const plans = new Map<string, string>()
  let isExplaining = false
  const sql: Sql = {
    build,
    async all<Row>({ sql, parameters }: Statement<Row>): Promise<Row[]> {
      if (isExplaining) {
        const { rows } = await client.query(`explain ${sql}`, [...parameters])
        plans.set(sql, rows.map((row) => row['QUERY PLAN']).join('\n'))
      }
      return (await client.query(sql, [...parameters])).rows
    },
  }
  await migrate(sql, 'postgres', 1)
  await client.query(
    "insert into repositories (name, state, created_at) select 'r' || i, 'adopted', 1 from generate_series(1, 9) i",
  )
  for (const name of forced) await client.query(`set enable_${name} = off`)
  isExplaining = true
  return { plans, facts: factQueries(sql) }
}

test(
  'PostgreSQL has an index for every query but those about everything, and sorts for none',
  needsPostgres(),
  async (t) => {
    const client = new pg.Client({ connectionString: await (await server()).newDatabase() })
    await client.connect()
    t.after(() => client.end())
    const { plans, facts } = await explainedDatabase(client)
    const id = newUploadId()
    for (const run of everyQuery) await run(facts, id)
    const slow = [...plans].filter(([, plan]) => /Seq Scan|Sort/.test(plan))
    assert.deepEqual(slow, [])
    assert.ok(plans.size >= 90, `only ${plans.size} statements were seen`)
    const { calls, expected } = countCalls(facts)
    assert.equal(calls, expected, 'a query was added that is not tried here')
    plans.clear()
    for (const run of wholeTables) await run(facts)
    assert.ok(
      [...plans.values()].some((plan) => /Seq Scan/.test(plan)),
      'a plan that reads a whole table would be noticed',
    )
  },
)
