/**
 * A copy of a folder that was made while it was served holds bytes of one moment and facts of another. It is told by where
 * it lies: the database remembers the place, and whether everything had come to rest there.
 *
 * ```
 * start ──► place as remembered, or at rest ──► as it is                        ──┐
 *       └─► another place, not at rest ──► what is owed is written, then read anew ─┴─► here, not at rest ··· end: at rest
 * ```
 *
 * A snapshot of the disk keeps the place, and is as good as a power cut. Files that were rescued to another disk look like
 * a copy, and storage may lack what was promised last: hence the writing before the reading.
 */
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { Settler } from '../../registry/settle.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { beginAdoption } from '../adopt/phase.ts'
import { forgetUnfinished } from './forget.ts'

const placeKey = 'place'
const cleanKey = 'clean'

interface Parts {
  readonly driver: StorageDriver
  readonly facts: Facts
  readonly settler: Pick<Settler, 'settleAll'>
}

/** After the volume was taken, before anything unfinished is finished. True where it is such a copy. */
export async function takePlace({ driver, facts, settler }: Parts): Promise<boolean> {
  const place = await driver.place()
  const isCopy = await liesElsewhere(facts.read, place)
  // What cannot be written stays owed.
  if (isCopy) await settler.settleAll()
  await facts.write(async (changed) => {
    if (isCopy) {
      await forgetUnfinished(changed)
      await beginAdoption(changed, 'this folder is a copy that was made while it was served')
    }
    if (place !== undefined) await changed.store.set(placeKey, place)
    await changed.store.remove(cleanKey)
  })
  return isCopy
}

async function liesElsewhere({ store }: FactQueries, place: string | undefined): Promise<boolean> {
  const remembered = await store.get(placeKey)
  const isAtRest = (await store.get(cleanKey)) === 'yes'
  return !isAtRest && place !== undefined && remembered !== undefined && remembered !== place
}

/** Everything has come to rest: the last thing that is written. */
export async function markClean({ facts }: Pick<Parts, 'facts'>): Promise<void> {
  await facts.write((changed) => changed.store.set(cleanKey, 'yes'))
}
