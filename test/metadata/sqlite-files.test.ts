import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Facts } from '../../metadata/facts.ts'
import { migrations, SchemaTooNew } from '../../metadata/migrations.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'

function setUp(t: TestContext) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'berth-facts-'))
  const path = join(folder, 'berth.db')
  const opened = new Set<Facts>()
  const onFatal = (error: Error) => {
    throw error
  }
  async function open(): Promise<Facts> {
    const facts = await openSqliteFacts({ path, onLargeWal: () => {}, onFatal })
    opened.add(facts)
    return facts
  }
  async function close(facts: Facts): Promise<void> {
    opened.delete(facts)
    await facts.close()
  }
  t.after(async () => {
    for (const facts of opened) await close(facts)
    fs.rmSync(folder, { recursive: true })
  })
  return { path, folder, open, close }
}

const holdLock = `
  import { DatabaseSync } from 'node:sqlite'
  const database = new DatabaseSync(process.argv[1])
  database.exec('begin immediate')
  database.exec("insert into store values ('from', 'the other') on conflict do nothing")
  console.log('held')
  process.stdin.once('data', () => {
    database.exec('commit')
    database.close()
    process.exit(0)
  })
`

/** Another process that holds the database's write lock until it is told. */
async function otherWriter(t: TestContext, path: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', holdLock, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  assert.ok(child.stdout)
  await once(child.stdout, 'data')
  return child
}

describe('another process', () => {
  test('that is writing delays a transaction and does not fail it', async (t) => {
    const { path, open } = setUp(t)
    const facts = await open()
    const child = await otherWriter(t, path)
    let over = false
    const writing = facts
      .write(async (changed) => changed.store.get('from'))
      .finally(() => {
        over = true
      })
    await sleep(100)
    assert.equal(over, false)
    assert.equal(await facts.read.store.get('from'), undefined, 'reads go on meanwhile')
    child.stdin?.write('go\n')
    assert.equal(await writing, 'the other')
  })

  test('that dies while it is writing leaves nothing and delays nobody for good', async (t) => {
    const { path, open } = setUp(t)
    const facts = await open()
    const child = await otherWriter(t, path)
    const writing = facts.write(async (changed) => changed.store.get('from'))
    child.kill('SIGKILL')
    assert.equal(await writing, undefined)
  })

  test('with the same database sees what this one committed', async (t) => {
    const { open } = setUp(t)
    const [one, two] = [await open(), await open()]
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        (n % 2 === 0 ? one : two).write(async (changed) => {
          await changed.store.set('count', String(Number((await changed.store.get('count')) ?? 0) + 1))
        }),
      ),
    )
    assert.equal(await one.read.store.get('count'), '40')
    assert.equal(await two.read.store.get('count'), '40')
  })
})

describe('a transaction', () => {
  test('is acknowledged after a sync that began after its commit, where it is to be durable', async (t) => {
    const { open } = setUp(t)
    const facts = await open()
    const order: string[] = []
    const { fdatasync } = fs
    t.mock.method(fs, 'fdatasync', (fd: number, done: fs.NoParamCallback) => {
      void facts.read.store.get('key').then((value) => order.push(`sync of ${value}`))
      fdatasync(fd, done)
    })
    await facts.write((changed) => changed.store.set('key', 'one'), { durable: false })
    order.push('committed')
    await facts.write((changed) => changed.store.set('key', 'two'))
    order.push('durable')
    assert.deepEqual(order, ['committed', 'sync of two', 'durable'])
  })
})

describe('a database', () => {
  test('of a newer program is refused by name and left as it is', async (t) => {
    const { path, open, close } = setUp(t)
    await close(await open())
    const newer = new DatabaseSync(path)
    newer.exec("insert into migrations values ('9999-from-the-future', 1); create table future (x)")
    newer.close()
    const before = fs.readFileSync(path)
    await assert.rejects(open(), (error) => {
      assert.ok(error instanceof SchemaTooNew)
      assert.match(error.message, /9999-from-the-future/)
      return true
    })
    assert.ok(fs.readFileSync(path).equals(before))
  })

  test('is migrated once', async (t) => {
    const { path, open, close } = setUp(t)
    for (let n = 0; n < 3; n++) await close(await open())
    const database = new DatabaseSync(path)
    const steps = database.prepare('select count(*) as steps from migrations').get()
    assert.equal(steps?.['steps'], migrations.length)
    database.close()
  })

  test('that is no database is refused, and left as it is', async (t) => {
    const { path, open } = setUp(t)
    fs.writeFileSync(path, 'this is not a database, but somebody may want it back. '.repeat(100))
    const before = fs.readFileSync(path)
    await assert.rejects(open(), /not a database/)
    assert.ok(fs.readFileSync(path).equals(before))
  })

  test('that closes leaves one file and no log', async (t) => {
    const { folder, open, close } = setUp(t)
    const facts = await open()
    await facts.write((changed) => changed.store.set('key', 'value'))
    await close(facts)
    assert.deepEqual(fs.readdirSync(folder), ['berth.db'])
  })

  test('can be written by nobody through its reading side', async (t) => {
    const { open } = setUp(t)
    const facts = await open()
    await assert.rejects(facts.read.store.set('key', 'value'), /readonly/)
  })
})
