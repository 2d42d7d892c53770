/** A store and folders that it is backed up to. */
import fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import { openSqliteFacts } from '../../metadata/sqlite.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { type BackupParts, createBackup } from '../../upkeep/backup/backup.ts'
import type { BackupReport } from '../../upkeep/operations.ts'
import { takeOwnership } from '../../upkeep/own/ownership.ts'
import { openVerified } from './verify-world.ts'

const openFacts = (path: string) =>
  openSqliteFacts({
    path,
    onLargeWal: () => {},
    onFatal: (error) => {
      throw error
    },
  })

function locate(folder: string): string {
  const path = resolve(folder)
  try {
    return fs.realpathSync(path)
  } catch {
    return join(locate(dirname(path)), basename(path))
  }
}

export async function openBackedUp(t: TestContext) {
  const store = await openVerified(t)
  await takeOwnership(store.driver, store.parts.facts)
  const target = `${store.root}-backup`
  const opened: Facts[] = []
  t.after(async () => {
    for (const facts of opened) await facts.close()
    fs.rmSync(target, { recursive: true, force: true })
  })
  const damaged: string[] = []
  const parts: BackupParts = {
    ...store.parts,
    root: store.root,
    locate,
    openTarget: async (folder) => new FilesystemDriver(folder),
    openCopy: openFacts,
    onDamage: (key) => void damaged.push(key),
  }
  const at = (key: string) => join(target, key)
  return {
    ...store,
    target,
    damaged,
    parts: store.parts,
    backUp: (changes: Partial<BackupParts> = {}, folder = target, signal?: AbortSignal): Promise<BackupReport> =>
      createBackup({ ...parts, ...changes }).backUp(folder, () => {}, signal),
    at,
    copied: (key: string) => (fs.existsSync(at(key)) ? fs.readFileSync(at(key), 'utf8') : undefined),
    /** It is closed after the test. */
    async openCopy(): Promise<Facts> {
      const facts = await openFacts(at('berth/berth.db'))
      opened.push(facts)
      return facts
    },
  }
}
