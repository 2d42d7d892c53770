import assert from 'node:assert/strict'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { test } from 'node:test'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { migrate } from '../../metadata/migrations.ts'
import { factQueries } from '../../metadata/queries.ts'
import type { Schema } from '../../metadata/schema.ts'
import type { Sql, Statement } from '../../metadata/sql.ts'
import { newUploadId } from '../../oci/name.ts'
import { manifestOf } from '../contracts/facts-tools.ts'
import { countCalls, digest, everyQuery, name, referrersWanted, wholeTables } from './every-query.ts'

/** A database that notes how SQLite goes about each statement. */
async function explainedDatabase() {
  const database = new DatabaseSync(':memory:')
  const plans = new Map<string, string>()
  const loaded = { characters: 0 }
  let explaining = false
  const sql: Sql = {
    build: new Kysely<Schema>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (each) => new SqliteIntrospector(each),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    }),
    async all<Row>({ sql, parameters }: Statement<Row>): Promise<Row[]> {
      const values = parameters as SQLInputValue[]
      if (explaining) {
        const steps = database.prepare(`explain query plan ${sql}`).all(...values)
        plans.set(sql, steps.map((step) => String(step['detail'])).join('; '))
      }
      const rows = database.prepare(sql).all(...values)
      for (const value of rows.flatMap(Object.values)) loaded.characters += String(value).length
      return rows as Row[]
    },
  }
  await migrate(sql, 'sqlite', 1)
  explaining = true
  return { database, plans, loaded, facts: factQueries(sql) }
}

const numbers = (count: number) =>
  `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ${count})`

/** 100,000 repositories, tags and owed keys, inserted by the database itself. */
function fill(database: DatabaseSync): void {
  const count = 100_000
  database.exec(`
    ${numbers(count)} insert into repositories (name, state, created_at) select printf('r%06d', i), 'adopted', 1 from n;
    ${numbers(count)} insert into tags select 1, printf('t%06d', i), 'sha256:x', 1 from n;
    ${numbers(count)} insert into owed select printf('k%06d', i), i, 1 from n;
    ${numbers(count)} insert into uploads
      (id, repository, state, stage, algorithm, started_at, updated_at)
      select printf('u%06d', i), 'r', 'receiving', '{}', 'sha256', 1, i from n`)
  fillRepository(database)
  database.exec('analyze')
}

/** A repository of 10,000 manifests, and as much of everything that keeping house remembers. */
function fillRepository(database: DatabaseSync): void {
  const count = 10_000
  database.exec(`
    ${numbers(count)} insert into blobs (digest, size, created_at, touched_at) select printf('b%06d', i), 1, 1, 1 from n;
    ${numbers(count)} insert into links select 1 + i % 9, printf('b%06d', i), 1, 1 from n;
    ${numbers(count)} insert into manifests
      (repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_at) select 1, printf('m%06d', i), 'a/b', 1, printf('m%06d', i / 9), null, null, i from n;
    ${numbers(count)} insert into manifest_references select 1, printf('m%06d', i), printf('b%06d', i / 9) from n;
    ${numbers(count)} insert into tag_history select 1, printf('t%06d', i), 'sha256:x' from n;
    ${numbers(count)} insert into trash
      select printf('t%06d', i), 1 + i % 9, 'tag', printf('m%06d', i), 'a/b', '[]', 'r', i, null from n;
    ${numbers(count)} insert into trash_references select 1 + i % 9, printf('t%06d', i), printf('b%06d', i) from n;
    ${numbers(count)} insert into reviews select 'blob', 0, printf('b%06d', i), i, 'deleted' from n;
    ${numbers(count)} insert into damages
      select printf('k%06d', i), 'content', printf('r%06d', i), printf('b%06d', i), 'empty', 1, null from n`)
}

test('every query but those about everything goes through an index, and none sorts', async () => {
  const { database, plans, facts } = await explainedDatabase()
  fill(database)
  const id = newUploadId()
  for (const run of everyQuery) await run(facts, id)
  const slow = [...plans].filter(([, plan]) => /\bSCAN (?!\d+-ROW VALUES)|TEMP B-TREE/.test(plan))
  assert.deepEqual(slow, [])
  assert.ok(plans.size >= 90, `only ${plans.size} statements were seen`)
  const { calls, expected } = countCalls(facts)
  assert.equal(calls, expected, 'a query was added that is not tried here')
})

test('a full walk of a large table in pages sees every entry once', async () => {
  const { database, facts } = await explainedDatabase()
  fill(database)
  let seen = 0
  for (let after = ''; ; seen += 1000) {
    const page = await facts.tags.page(1, after, 1000)
    if (page.length === 0) break
    assert.equal(page.length, 1000)
    assert.ok(page[0]! > after)
    after = page[999]!
  }
  assert.equal(seen, 100_000)
})

test('a page of referrers loads no more annotations than it holds, however many there are', async () => {
  const { facts, loaded } = await explainedDatabase()
  const annotations = { large: 'x'.repeat(1_000_000) }
  const { id } = await facts.repositories.ensure(name, 1)
  for (let n = 0; n < 40; n++) await facts.manifests.put(id, manifestOf(`r${n}`, { subject: digest, annotations }), 1)
  loaded.characters = 0
  const page = await facts.manifests.referrers(name, digest, { ...referrersWanted, limit: 1000, bytes: 4_000_000 })
  assert.equal(page.entries.length, 3)
  assert.ok(loaded.characters < 4_000_000, `${loaded.characters} characters`)
})

test('a plan that reads a whole table would be noticed', async () => {
  const { plans, facts } = await explainedDatabase()
  for (const run of wholeTables) await run(facts)
  assert.equal(plans.size, wholeTables.length)
  for (const plan of plans.values()) assert.match(plan, /\bSCAN\b/)
})
