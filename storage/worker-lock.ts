/**
 * Workers of a process that holds a root. Each of them holds this lock beside the others for as long as it lives, however
 * it ends. Whoever takes the root next waits until nobody is left: what a worker of a dead process was doing is over then.
 */
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartRefused } from '../oci/failure.ts'
import { layout } from './layout.ts'
import type { RootLock } from './root-lock.ts'

const lookEveryMs = 10
const defaultPatienceMs = 10_000

const pathIn = (root: string): string => join(root, `${layout.lock}-workers`)

/** Fails where somebody waits for the end of all workers just now. */
export function joinWorkers(root: string): RootLock {
  const path = pathIn(root)
  fs.mkdirSync(dirname(path), { recursive: true })
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('pragma journal_mode = memory; begin; select count(*) from sqlite_schema')
  } catch (error) {
    database.close()
    throw error
  }
  return { release: () => database.close() }
}

/** They end by themselves as soon as they miss their parent. */
export async function awaitEndOfWorkers(root: string, patienceMs = defaultPatienceMs): Promise<void> {
  const path = pathIn(root)
  if (!fs.existsSync(path)) return
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    for (const deadline = performance.now() + patienceMs; ; ) {
      if (tryAlone(database)) return
      if (performance.now() > deadline) {
        throw new StartRefused(`workers of a Berth that has ended still have ${root} open: end them first`)
      }
      await sleep(lookEveryMs)
    }
  } finally {
    database.close()
  }
}

function tryAlone(database: DatabaseSync): boolean {
  try {
    database.exec('begin exclusive; rollback')
    return true
  } catch (error) {
    if (error instanceof Error && /locked|busy/i.test(error.message)) return false
    throw error
  }
}
