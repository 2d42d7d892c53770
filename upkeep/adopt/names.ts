/** Which repositories storage holds: their names alone, so that lists of them are complete soon. */

import type { Damage } from '../../metadata/facts-upkeep.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Objects } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { repositoryNames } from '../../storage/repository-tree.ts'
import { lostCode } from '../verify/content.ts'
import { addDamage, describeOdd, findHiddenRoots, forgetHidden } from './hidden.ts'
import type { AdopterParts } from './parts.ts'
import { readCursor, saveCursor } from './phase.ts'
import { inBatches, othersTurn } from './portions.ts'
import { describeLost, readableObjects } from './readable.ts'

const namesAtOnce = 500

/** Goes on where an earlier walk was cut off. */
export async function adoptNames(
  { facts, driver, clock, onDamage }: AdopterParts,
  signal: AbortSignal,
  tell: (names: number) => void,
): Promise<void> {
  const after = await readCursor(facts.read.store)
  if (after === '') await forgetHidden({ facts })
  const odd = await findHiddenRoots(driver)
  const names = namesOf(driver, (damage) => void odd.push(damage), after)
  let done = 0
  for await (const batch of inBatches(names, namesAtOnce)) {
    signal.throwIfAborted()
    await announce(batch)
    done += batch.length
    tell(done)
    await othersTurn()
  }
  await announce([])

  async function announce(batch: readonly RepositoryName[]): Promise<void> {
    const damages = odd.splice(0)
    for (const { key, detail } of damages) onDamage(key, detail)
    const now = clock()
    await facts.write(
      async (changed) => {
        await changed.adoption.announce(batch, now)
        for (const damage of damages) await addDamage(changed, { ...damage, foundAt: now })
        const last = batch.at(-1)
        if (last) await saveCursor(changed.store, last)
      },
      { durable: false },
    )
  }
}

/** Every name, and what may hide others. */
export function namesOf(
  objects: Objects,
  onOdd: (damage: Omit<Damage, 'foundAt'>) => void,
  after = '',
): AsyncIterable<RepositoryName> {
  const readable = readableObjects(objects, (key, detail) =>
    onOdd({ key, ...describeLost(key), repository: '', detail: `${detail}, and names of repositories may be in it` }),
  )
  return repositoryNames(readable, { after, odd: (key, kind) => onOdd(describeOdd(key, kind)) })
}

/** A folder that holds layers or manifests; or may, for the disk has lost what it holds. */
export async function holdsRepository(objects: Objects, name: RepositoryName): Promise<boolean> {
  try {
    return await holdsMark(objects, name)
  } catch (error) {
    if (lostCode(error) === undefined) throw error
    return true
  }
}

async function holdsMark(objects: Objects, name: RepositoryName): Promise<boolean> {
  const folder = layout.repository(name)
  for await (const child of objects.children(folder)) {
    const key = `${folder}/${child.name}`
    if (child.kind === 'folder' && (key === layout.layers(name) || key === layout.manifests(name))) return true
  }
  return false
}
