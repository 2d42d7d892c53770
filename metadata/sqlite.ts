/**
 * Facts in SQLite: one connection that writes, one that reads, a worker that checkpoints. Statements are prepared once
 * a connection and run synchronously: microseconds each, so a transaction is over within one turn of the event loop.
 */
import fs from 'node:fs'
import { dirname } from 'node:path'
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { Failure, StartRefused } from '../oci/failure.ts'
import type { CopierTask } from './copier.ts'
import type { FactQueries, Facts } from './facts.ts'
import { migrate } from './migrations.ts'
import { factQueries } from './queries.ts'
import type { Schema } from './schema.ts'
import type { Sql, Statement } from './sql.ts'
import { openWalSync, type WalSync } from './wal-sync.ts'

const checkpointIntervalMs = 1000
const walLargeBytes = 64 * 1024 * 1024
const walAlarmBytes = 256 * 1024 * 1024
const busyRetryMs = 10_000
/** What the shared index of the log takes up, and some more. */
const leastRoom = 1024 * 1024

export interface SqliteOptions {
  readonly path: string
  /** Another process has made it, and merges its log, for longer than this one has it open. */
  readonly attached?: boolean
  /** So many bytes of the log could not be merged into the database yet. */
  readonly onLargeWal: (bytes: number) => void
  /** The log could not be merged, by a full disk perhaps. Nothing is lost, and it is tried again. */
  readonly onMergeFailed?: (message: string) => void
  /** Commits can no longer be made durable, and those that wait for it fail: a server must end. */
  readonly onFatal: (error: Error) => void
}

const build = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (database) => new SqliteIntrospector(database),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
})

/** Opens the database, makes it where there is none, and brings its schema up to date. */
export async function openSqliteFacts(options: SqliteOptions): Promise<Facts> {
  fs.mkdirSync(dirname(options.path), { recursive: true })
  const shared = sharesMemory(dirname(options.path))
  const writer = openConnection(options.path, shared)
  try {
    const sql = connectionSql(writer)
    if (!options.attached) {
      await transaction(writer, () => migrate(sql, 'sqlite', Date.now()))
      syncFolder(dirname(options.path))
    }
    const reader = shared ? openConnection(options.path, true) : writer
    if (reader !== writer) reader.exec('pragma query_only = on')
    const wal = openWalSync(`${options.path}-wal`, options.onFatal)
    const merges = shared && !options.attached
    return createFacts({ path: options.path, writer, reader, wal }, merges ? startCheckpointer(options) : undefined)
  } catch (error) {
    writer.close()
    throw error
  }
}

/**
 * Network and desktop-shared file systems cannot share a write-ahead log's index between connections: there one
 * connection holds the database for itself (SQLite, "Write-Ahead Logging", section 8).
 */
export function sharesMemory(folder: string): boolean {
  return !unshared.has(fs.statfsSync(folder).type)
}

/** `f_type` of NFS, CIFS, SMB2, FUSE, 9p and virtiofs (Linux, `statfs(2)`). */
const unshared = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x6a656a63])

function openConnection(path: string, shared: boolean): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    if (!shared) database.exec('pragma locking_mode = exclusive')
    database.exec(
      `pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = off; pragma temp_store = memory;
       pragma wal_autocheckpoint = ${shared ? 0 : 1000}; pragma cache_size = -16384; pragma mmap_size = 268435456`,
    )
    return database
  } catch (error) {
    database.close()
    if (!isCode(error, sqliteFull) && !isCode(error, sqliteIo)) throw error
    const { bavail, bsize } = fs.statfsSync(dirname(path))
    if (bavail * bsize > leastRoom) throw error
    throw new StartRefused(
      `the disk is full, and the database ${path} cannot be opened without some room: free some MiB`,
    )
  }
}

interface Connections {
  readonly path: string
  readonly writer: DatabaseSync
  readonly reader: DatabaseSync
  readonly wal: WalSync
}

function createFacts({ path, writer, reader, wal }: Connections, checkpointer?: Worker): Facts {
  const inTransaction = factQueries(connectionSql(writer))
  let last: Promise<unknown> = Promise.resolve()
  let closing: Promise<void> | undefined
  /** It may end long before it is asked to, where it fails. */
  const ended = new Promise<unknown>((resolve) => checkpointer?.once('exit', resolve))

  /** On a connection that is also written to, a read must not fall into a transaction that is under way. */
  function inTurn(sql: Sql): Sql {
    const all: Sql['all'] = (statement) => {
      const mine = last.then(() => sql.all(statement))
      last = mine.catch(() => {})
      return mine
    }
    return { build: sql.build, all }
  }

  async function close(): Promise<void> {
    await last
    if (checkpointer) {
      checkpointer.ref()
      checkpointer.postMessage('close')
      await ended
    }
    await wal.close()
    if (reader !== writer) reader.close()
    writer.close()
  }

  /** Where there is only one connection, a copy must not see half a transaction: the next one waits for it. */
  function copyTo(target: string): Promise<void> {
    if (reader !== writer) return copyApart(path, target)
    const mine = last.then(async () => void (await backup(writer, target)))
    last = mine.catch(() => {})
    return mine
  }

  return {
    read: factQueries(reader === writer ? inTurn(connectionSql(reader)) : connectionSql(reader)),
    async write<T>(work: (facts: FactQueries) => Promise<T>, { durable = true } = {}): Promise<T> {
      const mine = last.then(() => transaction(writer, () => work(inTransaction)))
      last = mine.catch(() => {})
      const result = await mine
      if (durable) await wal.wait()
      return result
    },
    async probe() {
      reader.prepare('select 1').get()
    },
    copyTo,
    close: () => (closing ??= close()),
  }
}

async function copyApart(path: string, target: string): Promise<void> {
  const file = import.meta.url.endsWith('.ts') ? './copier.ts' : './copier.js'
  const worker = new Worker(new URL(file, import.meta.url), { workerData: { path, target } satisfies CopierTask })
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject).once('exit', () => resolve())
  })
}

/** Runs `work` between BEGIN and COMMIT. It may wait for nothing but queries, which end within this turn. */
async function transaction<T>(database: DatabaseSync, work: () => Promise<T>): Promise<T> {
  await begin(database)
  let turned = false
  // Runs as soon as nothing is left to do in this turn: before any timer, socket or file can answer.
  process.nextTick(() => {
    turned = true
  })
  try {
    const result = await work()
    if (turned) throw new Error('a transaction waited for something other than a query')
    database.exec('commit')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('rollback')
    throw isCode(error, sqliteFull) ? new Failure('storage-full', {}, { cause: error }) : error
  }
}

/** Another process may be writing: SQLite's own waiting would stop the event loop, so the waiting is ours. */
async function begin(database: DatabaseSync): Promise<void> {
  const deadline = Date.now() + busyRetryMs
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    try {
      database.exec('begin immediate')
      return
    } catch (error) {
      if (!isCode(error, sqliteBusy) || Date.now() > deadline) throw error
      await sleep(pause)
    }
  }
}

/** Primary result codes; extended ones have more above the first eight bits. */
const sqliteBusy = 5
const sqliteIo = 10
const sqliteFull = 13

function isCode(error: unknown, code: number): boolean {
  return error instanceof Error && ((error as { errcode?: number }).errcode ?? 0) % 256 === code
}

function connectionSql(database: DatabaseSync): Sql {
  const prepared = new Map<string, StatementSync>()
  return {
    build,
    async all<Row>(statement: Statement<Row>): Promise<Row[]> {
      let found = prepared.get(statement.sql)
      if (!found) {
        found = database.prepare(statement.sql)
        // Statements with a variable number of parameters would fill the cache.
        if (statement.parameters.length < 32) prepared.set(statement.sql, found)
      }
      return found.all(...(statement.parameters as SQLInputValue[])) as Row[]
    },
  }
}

type CheckpointerTells = { readonly walBytes: number } | { readonly failed: string }

function startCheckpointer({ path, onLargeWal, onMergeFailed, onFatal }: SqliteOptions): Worker {
  const file = import.meta.url.endsWith('.ts') ? './checkpointer.ts' : './checkpointer.js'
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: {
      path,
      intervalMs: checkpointIntervalMs,
      largeBytes: walLargeBytes,
      alarmBytes: walAlarmBytes,
    },
  })
  worker.on('message', (told: CheckpointerTells) => {
    if ('failed' in told) onMergeFailed?.(told.failed)
    else onLargeWal(told.walBytes)
  })
  worker.on('error', onFatal)
  worker.unref()
  return worker
}

function syncFolder(path: string): void {
  const fd = fs.openSync(path, 'r')
  fs.fsyncSync(fd)
  fs.closeSync(fd)
}
