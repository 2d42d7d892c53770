/**
 * Moves committed pages from the write-ahead log into the database, on a thread with a connection of its own, so that
 * neither its reads nor its fsyncs stop the event loop. Runs as a worker.
 */
import fs from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'

const { path, intervalMs, alarmBytes } = workerData as { path: string; intervalMs: number; alarmBytes: number }
const database = new DatabaseSync(path)
database.exec('pragma synchronous = normal; pragma wal_autocheckpoint = 0; pragma busy_timeout = 5000')
const checkpoint = database.prepare('pragma wal_checkpoint(passive)')
let checkpointed = 0

const timer = setInterval(() => {
  const { size, mtimeMs } = fs.statSync(`${path}-wal`, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 }
  if (mtimeMs === checkpointed) return
  checkpointed = mtimeMs
  checkpoint.get()
  if (size > alarmBytes) parentPort?.postMessage({ walBytes: size })
}, intervalMs)

parentPort?.once('message', () => {
  clearInterval(timer)
  database.close()
  parentPort?.close()
})
