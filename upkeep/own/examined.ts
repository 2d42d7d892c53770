/**
 * A store that accepts a request and does something else loses data late and in silence. It is tried before anything is
 * entrusted to it: once, and again where it is another one or more is tried than before.
 */
import { createHash } from 'node:crypto'
import type { Facts } from '../../metadata/facts.ts'
import { StartRefused } from '../../oci/failure.ts'
import type { Examined, StorageDriver } from '../../storage/driver.ts'

const key = 'examined'
/** Raised when something else is relied on. */
const edition = 1

interface Parts {
  readonly facts: Facts
  readonly driver: Pick<StorageDriver, 'examine'>
  readonly told: (figures: object, message: string) => void
}

/** `place` tells stores apart. Fails with `StartRefused` and names what the store does wrong. */
export async function examineOnce({ facts, driver, told }: Parts, place: string): Promise<void> {
  if (!driver.examine) return
  const mark = `${edition}:${createHash('sha256').update(place).digest('hex')}`
  if ((await facts.read.store.get(key)) === mark) return
  const results = await driver.examine()
  const failed = results.filter((each) => !each.ok && !each.isWarning)
  if (failed.length > 0) throw new StartRefused(`this store cannot be relied on: ${failed.map(sentence).join('; ')}`)
  for (const { check, detail } of results.filter((each) => each.isWarning))
    told({ check, detail }, 'the store was tried')
  await facts.write((changed) => changed.store.set(key, mark))
}

const sentence = ({ check, detail }: Examined): string => `"${check}" does not hold (${detail})`
