/**
 * Moves committed pages from the write-ahead log into the database, on a thread with a connection of its own, so that
 * neither its reads nor its fsyncs stop the event loop. Runs as a worker.
 *
 * A log of which all is merged begins anew by itself, but only when nobody wrote meanwhile. Under steady writes it is
 * emptied by force: writers wait for that, so most is merged beside them first. Its file stays the same one, which
 * `wal-sync.ts` holds open, and what leaves it is durable in the database before.
 */
import fs from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

interface Work {
  readonly path: string
  readonly intervalMs: number
  /** A log beyond this is emptied, and its file with it. */
  readonly largeBytes: number
  /** So much that is not merged is worth a warning. */
  readonly alarmBytes: number
}

/** What the pragma answers: whether a lock was missing, pages in the log, and how many of them are in the database. */
interface Progress {
  readonly busy: number
  readonly log: number
  readonly checkpointed: number
}

const { path, intervalMs, largeBytes, alarmBytes } = workerData as Work
const tellAgainMs = 60_000
/** Writers wait while the log is emptied: where a reader is in the way they get this long a rest. */
const afterBusyMs = 10_000
/** SQLite's code for an fsync that failed: after it nothing can be promised any more. */
const fsyncFailed = 1034
const database = new DatabaseSync(path)
database.exec('pragma synchronous = normal; pragma wal_autocheckpoint = 0; pragma busy_timeout = 5000')
const pageBytes = database.prepare('pragma page_size').get()?.['page_size'] as number
// No longer than that may writers be kept waiting for readers.
database.exec('pragma busy_timeout = 200')
const beside = database.prepare('pragma wal_checkpoint(passive)')
const empty = database.prepare('pragma wal_checkpoint(truncate)')
let mergedAt = 0
let mergedChange = 0
let emptyAgainAt = 0
const told = new Map<string, number>()

const timer = setInterval(() => {
  const { size, mtimeMs } = fs.statSync(`${path}-wal`, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 }
  const large = size > largeBytes
  // A large log is looked at more often, because it grows by a hundred megabytes a second where much is written.
  if (!large && (mtimeMs === mergedChange || performance.now() - mergedAt < intervalMs)) return
  try {
    merge(large)
    mergedChange = mtimeMs
  } catch (error) {
    if ((error as { errcode?: number }).errcode === fsyncFailed) throw error
    // A full disk, say. Commits do not depend on it: the log holds them, and the next turn tries again.
    const message = error instanceof Error ? error.message : String(error)
    tell('failed', { failed: message })
  }
  mergedAt = performance.now()
}, intervalMs / 4)

function merge(large: boolean): void {
  const { log, checkpointed } = beside.get() as unknown as Progress
  const behind = (log - checkpointed) * pageBytes
  if (behind > alarmBytes) tell('large', { walBytes: behind })
  // What is left now came in the meantime: little, so that writers wait for milliseconds.
  if (!large || behind > 0 || performance.now() < emptyAgainAt) return
  const { busy } = empty.get() as unknown as Progress
  if (busy) emptyAgainAt = performance.now() + afterBusyMs
}

function tell(what: string, message: object): void {
  const now = performance.now()
  if (now - (told.get(what) ?? Number.NEGATIVE_INFINITY) < tellAgainMs) return
  told.set(what, now)
  parentPort?.postMessage(message)
}

parentPort?.once('message', () => {
  clearInterval(timer)
  database.close()
  parentPort?.close()
})
