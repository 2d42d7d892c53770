import assert from 'node:assert/strict'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { test } from 'node:test'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import type { FactQueries } from '../../metadata/facts.ts'
import type { NewTrash, Review } from '../../metadata/facts-upkeep.ts'
import { migrate } from '../../metadata/migrations.ts'
import { factQueries } from '../../metadata/queries.ts'
import type { Schema } from '../../metadata/schema.ts'
import type { Sql, Statement } from '../../metadata/sql.ts'
import { newUploadId, type UploadId } from '../../oci/name.ts'
import { digestFor, manifestOf, nameOf, tagOf } from '../contracts/facts-tools.ts'

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
      select printf('u%06d', i), 'r', null, 'receiving', '{}', 'sha256', null, null, 1, i from n`)
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
      select printf('k%06d', i), 'content', printf('r%06d', i), printf('b%06d', i), 'empty', 1 from n`)
}

const [name, tag, digest] = [nameOf('r000000'), tagOf('t000000'), digestFor('x')]

const referrersWanted = { after: '', limit: 10, bytes: 1000, artifactTypes: [] }

const entry: Omit<NewTrash, 'id'> = {
  repositoryId: 1,
  kind: 'manifest',
  digest,
  mediaType: 'a/b',
  tags: [tag],
  reason: 'deleted by a client',
  deletedAt: 1,
}

const review: Review = { kind: 'blob', repositoryId: 0, digest, due: 1, reason: 'deleted' }

/** Every method once, but those that answer about everything. */
const everyQuery: readonly ((facts: FactQueries, id: UploadId) => Promise<unknown>)[] = [
  ({ store }) => store.set('key', 'value'),
  ({ store }) => store.get('key'),
  ({ store }) => store.remove('key'),
  ({ repositories }) => repositories.find(name),
  ({ repositories }) => repositories.ensure(nameOf('new'), 1),
  ({ repositories }) => repositories.page('r', 10),
  ({ blobs }) => blobs.sizeIn(name, digest),
  ({ blobs }) => blobs.isStored(digest),
  ({ blobs }) => blobs.add(digest, 1, 1),
  ({ blobs }) => blobs.link(1, digest, 1),
  ({ blobs }) => blobs.isLinked(1, digest),
  ({ blobs }) => blobs.linkedAmong(1, [digest, digestFor('y')]),
  ({ blobs }) => blobs.holders(digest, 10),
  ({ blobs }) => blobs.touch(1, digest, 2),
  ({ blobs }) => blobs.unlink(1, digest),
  ({ manifests }) => manifests.put(1, manifestOf('x', { references: [digest], subject: digest }), 1),

  ({ manifests }) => manifests.declaredType(1, digest),
  ({ manifests }) => manifests.find(name, digest),
  ({ manifests }) => manifests.findTagged(name, tag),
  ({ manifests }) => manifests.among(1, [digest, digestFor('y')]),
  ({ manifests }) => manifests.references(1, digest),
  ({ manifests }) => manifests.parents(1, digest, 10),
  ({ manifests }) => manifests.referrers(name, digest, referrersWanted),
  ({ manifests }) => manifests.referrers(name, digest, { ...referrersWanted, artifactTypes: ['a/b'] }),
  ({ manifests }) => manifests.delete(1, digest),
  ({ tags }) => tags.page(1, 't', 10),
  ({ tags }) => tags.set(1, tag, digest, 1),
  ({ tags }) => tags.digest(1, tag),
  ({ tags }) => tags.pointingTo(1, digest),
  ({ tags }) => tags.history(1, tag),
  ({ tags }) => tags.hadPointedTo(1, tag, digest),
  ({ tags }) => tags.delete(1, tag),
  ({ manifests }) => manifests.untag(1, digest),
  ({ uploads }, id) =>
    uploads.add({ id, repository: name, state: 'receiving', stage: '', algorithm: 'sha256', updatedAt: 1 }),
  ({ uploads }, id) => uploads.find(id),
  ({ uploads }, id) => uploads.progress(id, '{}', undefined, 1),
  ({ uploads }, id) => uploads.setState(id, 'finished', digest, 1),
  ({ uploads }) => uploads.idle('receiving', 100, 10),
  ({ uploads }) => uploads.forgetHashes(),
  ({ uploads }, id) => uploads.remove(id),
  ({ owed }) => owed.add('key', 1, 1),
  ({ owed }) => owed.find('key'),
  ({ owed }) => owed.page('k', 10),
  ({ owed }) => owed.clear({ key: 'key', version: 1 }),
  ({ trash }, id) => trash.add({ ...entry, id }, [digest, digestFor('y')]),
  ({ trash }, id) => trash.find(id),
  ({ trash }) => trash.ofDigest(1, digest),
  ({ trash }) => trash.page(undefined, 10, 10),
  ({ trash }, id) => trash.page({ deletedAt: 1, id }, 10, 10),
  ({ trash }, id) => trash.references(id),
  ({ trash }, id) => trash.remove(id),
  ({ reviews }) => reviews.add(review),
  ({ reviews }) => reviews.due(10, undefined, 10),
  ({ reviews }) => reviews.due(10, review, 10),
  ({ reviews }) => reviews.putOff(review, 20),
  ({ reviews }) => reviews.remove(review),
  ({ reviews }) => reviews.count(10),
  ({ damages }) => damages.add({ key: 'key', kind: 'content', repository: name, digest, detail: 'empty', foundAt: 1 }),
  ({ damages }) => damages.page('k', 10),
  ({ damages }) => damages.removeOf(digest),
  ({ damages }) => damages.clear(name),
  ({ damages }) => damages.remove('key'),
  ({ collection }) => collection.find(digest),
  ({ collection }) => collection.unneededLinks(digest, 5),
  ({ collection }) => collection.linkCount(digest),
  ({ collection }) => collection.isReferred(digest, 5),
  ({ collection }) => collection.isUsed(digest),
  ({ blobs }) => blobs.add(digest, 1, 1),
  ({ collection }) => collection.condemn(digest, 10, 1),
  ({ collection }) => collection.condemned(10),
  ({ collection }) => collection.isKept(digest),
  ({ collection }) => collection.forget(digest, 10),
  ({ collection }) => collection.markDamaged(digest, 1),
  ({ collection }) => collection.markWhole(digest, 1),
  ({ collection }) => collection.page('', 10),
  ({ collection }) => collection.untagged(1, 10, '', 10),
  ({ collection }) => collection.untaggedReferrers(1, digest, 10),
  ({ collection }) => collection.standing(1, digest),
  ({ collection }) => collection.hasReferrers(1, digest),
  ({ collection }) => collection.usersOf(digest, 10),
  ({ adoption }) => adoption.announce([nameOf('a'), nameOf('b')], 1),
  ({ adoption }) => adoption.setState(2, 'unadopted'),
  ({ adoption }) => adoption.markAbsent(2, 1),
  ({ adoption }) => adoption.listed(2),
  ({ adoption }) => adoption.inState('adopted', '', 10),
  ({ adoption }) => adoption.inState('unadopted', '', 10),
  ({ adoption }) => adoption.link(1, digest, 1),
  ({ adoption }) => adoption.remember(1, tag, digest),
  ({ adoption }) => adoption.reviewUnreferenced(1, 10),
  ({ adoption }) => adoption.layers(1, '', 10),
  ({ adoption }) => adoption.revisions(1, '', 10),
  ({ adoption }) => adoption.history(1, { tag: '', digest: '' }, 10),
  ({ adoption }) => adoption.clear(3, 10),
]

/** These read everything: what they answer is about everything. */
const wholeTables: readonly ((facts: FactQueries) => Promise<unknown>)[] = [
  ({ repositories }) => repositories.search('x', 10),
  ({ owed }) => owed.count(),
  ({ trash }) => trash.count(),
  ({ damages }) => damages.count(),
  // It stops at the first.
  ({ damages }) => damages.any(),
  ({ collection }) => collection.totals(),
  ({ adoption }) => adoption.counts(),
  ({ adoption }) => adoption.unadoptAll(),
]

test('every query but those about everything goes through an index, and none sorts', async () => {
  const { database, plans, facts } = await explainedDatabase()
  fill(database)
  const id = newUploadId()
  for (const run of everyQuery) await run(facts, id)
  const slow = [...plans].filter(([, plan]) => /\bSCAN (?!\d+-ROW VALUES)|TEMP B-TREE/.test(plan))
  assert.deepEqual(slow, [])
  assert.ok(plans.size >= 90, `only ${plans.size} statements were seen`)
  const calls = everyQuery.length + wholeTables.length
  const methods = Object.values(facts).reduce((sum, fact) => sum + Object.keys(fact).length, 0)
  // `referrers`, `trash.page`, `reviews.due`, `blobs.add` and `inState` are asked twice.
  assert.equal(calls, methods + 5, 'a query was added that is not tried here')
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
