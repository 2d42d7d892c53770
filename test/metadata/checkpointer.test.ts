import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { scratchFolder } from '../storage/tree.ts'

const file = new URL('../../metadata/checkpointer.ts', import.meta.url)
const mebibyte = 1024 * 1024

function setUp(t: TestContext) {
  const path = join(scratchFolder(t), 'berth.db')
  const database = new DatabaseSync(path, { timeout: 20_000 })
  database.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 0; create table rows (n integer, bytes blob)')
  const insert = database.prepare('insert into rows values (?, zeroblob(20000))')
  return { path, database, insert, log: () => fs.statSync(`${path}-wal`) }
}

async function startWorker(t: TestContext, path: string, sizes: object): Promise<Record<string, unknown>[]> {
  const told: Record<string, unknown>[] = []
  const worker = new Worker(file, {
    workerData: { path, intervalMs: 20, largeBytes: mebibyte, alarmBytes: 1000 * mebibyte, ...sizes },
  })
  worker.on('message', (message) => told.push(message))
  t.after(async () => {
    const ended = once(worker, 'exit')
    worker.postMessage('close')
    await ended
  })
  await once(worker, 'online')
  return told
}

async function until(isSo: () => boolean, meanwhile = () => {}): Promise<boolean> {
  const deadline = Date.now() + 20_000
  while (!isSo() && Date.now() < deadline) {
    meanwhile()
    await sleep(1)
  }
  return isSo()
}

test('a log that grows under steady writes is emptied, stays the same file and loses nothing', async (t) => {
  const { path, database, insert, log } = setUp(t)
  await startWorker(t, path, {})
  const { ino } = log()
  let rows = 0
  let peak = 0
  let times = 0
  const write = () => {
    insert.run(rows++)
    const { size } = log()
    if (size < peak) times++
    peak = size < peak ? 0 : size
  }
  assert.ok(await until(() => times === 3, write), `the log holds ${log().size} bytes`)
  assert.equal(log().ino, ino)
  assert.equal(database.prepare('select count(distinct n) as rows from rows').get()?.['rows'], rows)
  database.close()
})

test('a large log is cut off also when nobody writes any more', async (t) => {
  const { path, database, insert, log } = setUp(t)
  for (let n = 0; n < 100; n++) insert.run(n)
  assert.ok(log().size > mebibyte)
  await startWorker(t, path, {})
  assert.ok(await until(() => log().size === 0))
  database.close()
})

test('a log that a reader keeps from being merged is told of once, and never when all of it is merged', async (t) => {
  const { path, database, insert, log } = setUp(t)
  const sizes = { alarmBytes: mebibyte, largeBytes: 100 * mebibyte }
  const told = await startWorker(t, path, sizes)
  for (let n = 0; n < 100; n++) insert.run(n)
  const merged = () => fs.statSync(path).size
  assert.ok(await until(() => merged() > mebibyte))
  assert.ok(log().size > mebibyte)
  const reader = new DatabaseSync(path)
  reader.exec('begin; select * from rows limit 1')
  for (let n = 0; n < 100; n++) insert.run(n)
  assert.ok(
    await until(
      () => told.length > 0,
      () => void insert.run(0),
    ),
  )
  for (let n = 0; n < 20; n++) {
    insert.run(n)
    await sleep(10)
  }
  assert.deepEqual(told.map(Object.keys), [['walBytes']])
  assert.ok((told[0]?.['walBytes'] as number) > mebibyte)
  reader.close()
  database.close()
})

/** Writes until the database file may grow no further; the log, which begins anew again and again, stays small. */
const fillDisk = `
  import fs from 'node:fs'
  import { DatabaseSync } from 'node:sqlite'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { Worker } from 'node:worker_threads'
  const [path, file] = process.argv.slice(1)
  const database = new DatabaseSync(path, { timeout: 20000 })
  database.exec('pragma journal_mode = wal; pragma wal_autocheckpoint = 0; create table rows (bytes blob)')
  const sizes = { intervalMs: 20, largeBytes: 1e9, alarmBytes: 1e9 }
  const worker = new Worker(new URL(file), { workerData: { path, ...sizes }, execArgv: [] })
  let failed
  worker.on('message', (message) => (failed ??= message.failed))
  worker.on('error', (error) => (console.log('crashed: ' + error.message), process.exit(1)))
  while (!failed) {
    database.exec('insert into rows values (zeroblob(100000))')
    const { page_count: pages } = database.prepare('pragma page_count').get()
    while (!failed && fs.statSync(path).size < pages * 4096) await sleep(5)
  }
  database.exec('insert into rows values (zeroblob(10))')
  worker.postMessage('close')
  worker.once('exit', (code) => console.log('told: ' + failed + '; left with ' + code))
`

test('a disk that is too full to merge the log is told of and ends nothing', async (t) => {
  const path = join(scratchFolder(t), 'berth.db')
  const script = 'ulimit -f 2048; exec "$0" "$@"'
  const node = [process.execPath, '--input-type=module', '-e', fillDisk, path, file.href]
  const { stdout } = await promisify(execFile)('sh', ['-c', script, ...node])
  assert.match(stdout, /^told: .*; left with 0\n$/)
})
