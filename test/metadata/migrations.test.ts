import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { test } from 'node:test'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { migrations } from '../../metadata/migrations.ts'
import type { Schema } from '../../metadata/schema.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { digestFor, nameOf, rowOf, tagOf } from '../contracts/facts-tools.ts'
import { scratchFolder } from '../storage/tree.ts'

const build = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (each) => new SqliteIntrospector(each),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

const [one, name] = [digestFor('one'), nameOf('library/alpine')]

/** The database of a Berth that knew the first step only, with an image in it. */
function writeFirstDatabase(path: string): void {
  const database = new DatabaseSync(path)
  const first = migrations[0]!
  for (const step of first.steps(build, 'sqlite')) database.exec(step.compile().sql)
  database.exec('create table migrations (name text primary key, applied_at integer not null)')
  const insert = (table: string, ...values: readonly SQLInputValue[]) =>
    database.prepare(`insert into ${table} values (${values.map(() => '?').join(', ')})`).run(...values)
  insert('migrations', first.name, 1)
  insert('store', 'id', 'this store')
  insert('repositories', 7, name, 'adopted', 1, null)
  insert('blobs', one, 3, null, 1, 1)
  insert('links', 7, one, 1, 5)
  const { digest, mediaType, size } = rowOf('m')
  insert('manifests', 7, digest, mediaType, size, null, null, null, 1)
  insert('manifest_references', 7, digest, one)
  insert('tags', 7, 'v1', digest, 1)
  insert('tag_history', 7, 'v1', digest)
  insert('uploads', 'u', name, null, 'committing', '', 'sha256', null, digestFor('late'), 1, 1)
  database.close()
}

test('a database of the first version keeps all that it knew, and knows the rest', async (t) => {
  const path = join(scratchFolder(t), 'berth.db')
  writeFirstDatabase(path)
  const onFatal = (error: Error) => assert.fail(error)
  const facts = await openSqliteFacts({ path, onLargeWal: () => {}, onFatal })
  try {
    assert.equal(await facts.read.store.get('id'), 'this store')
    assert.deepEqual(await facts.read.manifests.findTagged(name, tagOf('v1')), rowOf('m'))
    assert.deepEqual(await facts.read.blobs.sizeIn(name, one), { size: 3, touchedAt: 5 })
    assert.deepEqual(await facts.read.collection.find(one), { digest: one, size: 3 })
    assert.equal(await facts.read.collection.isUsed(digestFor('late')), true)
    const [upload] = await facts.read.uploads.idle('committing', 10, 10)
    assert.equal(upload?.version, 0)
    assert.deepEqual(await facts.read.adoption.counts(), { unadopted: 0, adopted: 1 })
    const due = await facts.read.reviews.due(Number.MAX_SAFE_INTEGER, undefined, 9)
    assert.deepEqual(due, [{ kind: 'blob', repositoryId: 0, digest: one, due: 86_400_001, reason: 'abandoned' }])
    assert.equal(await facts.write((changed) => changed.collection.condemn(one, 100, 1)), false)
  } finally {
    await facts.close()
  }
})
