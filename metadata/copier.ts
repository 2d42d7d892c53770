/**
 * Copies a database, on a thread with a connection of its own: nobody waits for it, and what is written meanwhile does
 * not make it begin anew, because a single step reads one moment of the database. Runs as a worker.
 */
import { backup, DatabaseSync } from 'node:sqlite'
import { workerData } from 'node:worker_threads'

export interface CopierTask {
  readonly path: string
  readonly target: string
}

/** More than a database can have. */
const allPages = 2 ** 31 - 1

const { path, target } = workerData as CopierTask
const source = new DatabaseSync(path, { timeout: 0 })
try {
  source.exec('pragma query_only = on')
  await backup(source, target, { rate: allPages })
} finally {
  source.close()
}
