import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import pg from 'pg'
import { migrations, SchemaTooNew } from '../../metadata/migrations.ts'
import { build } from '../../metadata/postgres/connection.ts'
import { openPostgresFacts, type PostgresOptions } from '../../metadata/postgres.ts'
import { StartRefused } from '../../oci/failure.ts'
import { newUploadId } from '../../oci/name.ts'
import { digestFor, inRepository, manifestOf, nameOf, rowOf, tagOf } from '../contracts/facts-tools.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'

const server = sharedPostgres()
const [one, name] = [digestFor('one'), nameOf('library/alpine')]

async function open(t: TestContext, options: PostgresOptions) {
  const facts = await openPostgresFacts(options)
  t.after(() => facts.close())
  return facts
}

/** A database as a Berth made it that knew only so many steps, with an image in it. */
async function writeOldDatabase(url: string, steps: number): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('create table migrations (name text collate "C" primary key, applied_at bigint not null)')
  for (const { name, steps: each } of migrations.slice(0, steps)) {
    for (const step of each(build, 'postgres')) await client.query(step.compile().sql, [...step.compile().parameters])
    await client.query('insert into migrations values ($1, 1)', [name])
  }
  const { digest, mediaType, size } = rowOf('m')
  await client.query("insert into repositories (name, state, created_at) values ($1, 'adopted', 1)", [name])
  await client.query('insert into blobs (digest, size, created_at, touched_at) values ($1, 3, 1, 1)', [one])
  await client.query('insert into links values (1, $1, 1, 5)', [one])
  await client.query(
    'insert into manifests (repository_id, digest, media_type, size, pushed_at) values (1, $1, $2, $3, 1)',
    [digest, mediaType, size],
  )
  await client.query("insert into tags values (1, 'v1', $1, 1)", [digest])
  await client.query(
    `insert into uploads (id, repository, state, stage, algorithm, committing, started_at, updated_at)
     values ('u', $1, 'committing', '', 'sha256', $2, 1, 1)`,
    [name, digestFor('late')],
  )
  await client.end()
}

describe('the schema in PostgreSQL', needsPostgres(), () => {
  test('is made once by nodes that start at once', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    const nodes = await Promise.all(Array.from({ length: 8 }, () => open(t, { url })))
    await Promise.all(nodes.map((node, n) => node.write((changed) => changed.store.set(`node ${n}`, 'here'))))
    assert.equal(await nodes[0]!.read.store.get('node 7'), 'here')
    const applied = await postgres.ask('select name from migrations order by name', url)
    assert.deepEqual(
      applied.map((row) => row['name']),
      migrations.map((migration) => migration.name),
    )
  })

  for (let steps = 1; steps < migrations.length; steps++) {
    test(`of ${steps} steps is brought up to date by nodes that start at once, and nothing is lost`, async (t) => {
      const url = await (await server()).newDatabase()
      await writeOldDatabase(url, steps)
      const nodes = await Promise.all([1, 2, 3].map(() => open(t, { url })))
      for (const { read } of nodes) {
        assert.deepEqual(await read.manifests.findTagged(name, tagOf('v1')), rowOf('m'))
        assert.deepEqual(await read.blobs.sizeIn(name, one), { size: 3, touchedAt: 5 })
        assert.equal(await read.collection.isUsed(digestFor('late')), true)
        const [upload] = await read.uploads.idle('committing', 10, 10)
        assert.equal(upload?.version, 0)
      }
      const id = await inRepository(nodes[0]!, nameOf('another'), async (_, repository) => repository)
      assert.equal(id, 2)
    })
  }

  test('may gain tables, columns and indexes while a node is running that does not know them', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    const old = await open(t, { url, poolSize: 2 })
    const id = newUploadId()
    const row = { id, repository: name, state: 'receiving', stage: '', algorithm: 'sha256', updatedAt: 1 } as const
    const use = async (n: number) => {
      await inRepository(old, name, (changed, repository) => changed.manifests.put(repository, manifestOf(`m${n}`), 1))
      assert.ok(await old.read.manifests.find(name, digestFor(`m${n}`)))
      await old.write((changed) => changed.uploads.change(id, n, { updatedAt: n }))
      assert.equal((await old.read.uploads.find(id))?.version, n + 1)
      await old.write((changed) =>
        changed.damages.add({ key: `k${n}`, kind: 'stray', repository: '', detail: '', foundAt: 1 }),
      )
      assert.equal((await old.read.damages.page('', 10)).length, n + 1)
    }
    await old.write((changed) => changed.uploads.add({ ...row, version: 0 }))
    await use(0)
    await use(1)
    await postgres.ask(
      `alter table uploads add column later text; alter table damages add column later bigint not null default 3;
       alter table manifests add column later text; create index by_later on manifests (later); create table later (id int)`,
      url,
    )
    await use(2)
  })

  test('of a newer Berth is refused', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    await open(t, { url })
    await postgres.ask("insert into migrations values ('9999-future', 1)", url)
    await assert.rejects(
      openPostgresFacts({ url }),
      (error) => error instanceof SchemaTooNew && /9999-future/.test(error.message),
    )
  })
})

describe('a node', needsPostgres(), () => {
  const refusals: readonly { what: string; url(url: string): string; says: RegExp }[] = [
    {
      what: 'with a wrong password',
      url: (url) => url.replace(/secret-/, 'hidden-'),
      says: /password authentication failed/,
    },
    {
      what: 'whose database does not exist',
      url: (url) => `${url}_missing`,
      says: /database "case_\d+_missing" does not exist/,
    },
    {
      what: 'whose server is not there',
      url: (url) => url.replace(/:\d+\//, ':1/'),
      says: /127\.0\.0\.1:1\/case_\d+ cannot be used: connect ECONNREFUSED/,
    },
    {
      what: 'whose address is of something else',
      url: (url) => url.replace('postgres:', 'mysql:'),
      says: /must begin with "postgres:\/\/"/,
    },
    {
      what: 'whose address is none',
      url: (url) => url.replace('127.0.0.1', '[::'),
      says: /expected "postgres:\/\/user:password@host:port\/database"/,
    },
  ]
  test('whose certificate is not there does not start, and says where it was expected', async () => {
    const url = `${await (await server()).newDatabase()}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem`
    await assert.rejects(
      openPostgresFacts({ url }),
      (error) =>
        error instanceof StartRefused && /names \/nowhere\/ca\.pem, which cannot be read: ENOENT/.test(error.message),
    )
  })

  test('that asks for TLS does not go on without it', async () => {
    const url = `${await (await server()).newDatabase()}?sslmode=verify-full`
    await assert.rejects(openPostgresFacts({ url, startMs: 100 }), /cannot be used: The server does not support SSL/)
  })

  for (const { what, url, says } of refusals) {
    test(`${what} does not start, and says so without its password`, async () => {
      const postgres = await server()
      const wrong = url(await postgres.newDatabase())
      await assert.rejects(openPostgresFacts({ url: wrong, startMs: 200 }), (error) => {
        assert.ok(error instanceof StartRefused, String(error))
        assert.match(error.message, says)
        const all = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`
        assert.ok(!all.includes(postgres.password) && !all.includes('hidden-'), all)
        return true
      })
    })
  }

  test('waits for a server that is starting', async (t) => {
    const postgres = await server()
    const url = await postgres.newDatabase()
    await postgres.crash()
    const opening = open(t, { url })
    await postgres.start()
    await (await opening).probe()
  })

  test('refuses a database that cannot hold every text', async () => {
    const postgres = await server()
    const url = await postgres.newDatabase("encoding 'LATIN1' locale_provider libc locale 'C' template template0")
    await assert.rejects(openPostgresFacts({ url }), /encoded in LATIN1: create one with "encoding 'UTF8'"/)
  })
})
