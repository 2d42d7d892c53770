/**
 * One process serves a root. The lock is an exclusive transaction on a tiny SQLite file: the system releases it with the
 * process, however that ends, and Node has no other lock of that kind.
 */
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StartRefused } from '../oci/failure.ts'
import { layout } from './layout.ts'

export class RootInUse extends StartRefused {
  constructor(root: string) {
    super(`${root} is being served by another Berth: stop that one first, or choose another root directory`)
  }
}

export interface RootLock {
  release(): void
}

export function lockRoot(root: string): RootLock {
  const path = join(root, layout.lock)
  fs.mkdirSync(dirname(path), { recursive: true })
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('pragma journal_mode = memory; pragma locking_mode = exclusive; begin exclusive')
  } catch (error) {
    database.close()
    if (error instanceof Error && /locked|busy/i.test(error.message)) throw new RootInUse(root)
    throw error
  }
  return { release: () => database.close() }
}
