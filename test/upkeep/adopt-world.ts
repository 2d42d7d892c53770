/** A store that one database after the other reads. */
import type { TestContext } from 'node:test'
import { createRegistry } from '../../registry/local.ts'
import type { Repository } from '../../registry/registry.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import type { AdopterParts } from '../../upkeep/adopt/adopt.ts'
import { createAdopter } from '../../upkeep/adopt/adopt.ts'
import { beginAdoption } from '../../upkeep/adopt/phase.ts'
import { nameOf } from '../contracts/facts-tools.ts'
import { type LocalChanges, type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { caller } from '../contracts/push.ts'

export interface Read {
  readonly local: LocalRegistry
  readonly adopter: Awaited<ReturnType<typeof createAdopter>>
  readonly parts: AdopterParts
  /** `key: reason`, as they were told. */
  readonly damages: readonly string[]
  readonly errors: readonly unknown[]
  /** Everything, until it is done. */
  run(): Promise<void>
  repository(name: string): Repository
}

/** It is closed after the test. */
export async function openStore(t: TestContext, driver: StorageDriver, changes: LocalChanges = {}) {
  const local = await openLocal(driver, changes)
  t.after(() => local.close())
  return local
}

/** What was pushed is in storage, and nothing is owed. */
export async function settled(local: LocalRegistry): Promise<void> {
  await local.parts.settler.settleAll()
}

/** A new database reads the store. */
export async function readWithout(
  t: TestContext,
  driver: StorageDriver,
  changes: Partial<AdopterParts> = {},
): Promise<Read> {
  const local = await openStore(t, driver)
  await local.parts.facts.write((changed) => beginAdoption(changed, 'its database was lost'))
  return adopterOf(local, driver, changes)
}

/** The same database, in a process of its own. */
export async function adopterOf(
  local: LocalRegistry,
  driver: StorageDriver,
  changes: Partial<AdopterParts> = {},
): Promise<Read> {
  const damages: string[] = []
  const errors: unknown[] = []
  const opened = local.again(driver)
  const parts: AdopterParts = {
    ...opened.parts,
    onDamage: (key, reason) => void damages.push(`${key}: ${reason}`),
    onError: (error) => void errors.push(error),
    told: () => {},
    retryMs: 1,
    ...changes,
  }
  const adopter = await createAdopter(parts)
  const registry = createRegistry({ ...opened.parts, adoption: adopter })
  return {
    local: opened,
    adopter,
    parts,
    damages,
    errors,
    run: () => adopter.run(new AbortController().signal, () => {}),
    repository: (name) => registry.repository(nameOf(name), caller),
  }
}
