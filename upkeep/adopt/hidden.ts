/**
 * Places that may hide facts: a symbolic link or a file where a whole folder of them belongs, or such a folder that cannot
 * be read. Other registries follow symbolic links, so what only those facts name looks like garbage and is none. As long
 * as there is such a place the store says so, and nothing is freed that nobody asked for.
 */
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { Damage } from '../../metadata/facts-upkeep.ts'
import { parseRepositoryName, type RepositoryName } from '../../oci/name.ts'
import type { Child, ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { scanRepository } from '../../storage/repository-tree.ts'
import { kindOf, lostCode } from '../verify/content.ts'
import { othersTurn } from './portions.ts'

/** Holds the key of one of them. */
const hiddenKey = 'hidden'
const pageSize = 500

type Parts = { readonly facts: Facts; readonly driver: StorageDriver }

/** Which facts are missing is not known: damage of a revision that names no digest, and no link file. */
export function hides({ key, kind, digest }: Pick<Damage, 'key' | 'kind' | 'digest'>): boolean {
  return kind === 'revision' && digest === undefined && parseLinkKey(key) === undefined
}

/** Every damage that is found while facts are read goes this way. */
export async function addDamage(changed: FactQueries, damage: Damage): Promise<void> {
  await changed.damages.add(damage)
  if (hides(damage)) await changed.store.set(hiddenKey, damage.key)
}

/** What stands among the names of repositories and is none, as damage. */
export function describeOdd(key: ObjectKey, kind: Child['kind']): Omit<Damage, 'foundAt'> {
  const [, text = '', mark] = /^(.*?)(?:\/(_layers|_manifests))?$/.exec(key.slice(layout.repositories.length + 1)) ?? []
  const name = parseRepositoryName(text)
  const what = kind === 'other' ? 'is a symbolic link or device, which is not followed' : 'is a file'
  if (name && (kind === 'other' || mark)) {
    return { key, kind: 'revision', repository: name, detail: `${what}, where facts of repositories may be` }
  }
  return { key, kind: 'stray', repository: '', detail: 'stands among the names of repositories and is none' }
}

/** The two folders that hold everything. */
export async function findHiddenRoots(driver: StorageDriver): Promise<Omit<Damage, 'foundAt'>[]> {
  const found: Omit<Damage, 'foundAt'>[] = []
  for (const key of [layout.repositories, layout.blobs]) {
    const kind = await kindOf(driver, key)
    if (kind === undefined || kind === 'folder') continue
    const detail = kind === 'other' ? 'is a symbolic link or device, which is not followed' : 'is a file'
    found.push({ key, kind: 'revision', repository: '', detail })
  }
  return found
}

/** Of a repository that storage seems not to have. */
export async function findHidden(driver: StorageDriver, name: RepositoryName): Promise<Omit<Damage, 'foundAt'>[]> {
  const key = layout.repository(name)
  if ((await kindOf(driver, key)) === 'other') return [describeOdd(key, 'other')]
  const found: Omit<Damage, 'foundAt'>[] = []
  for await (const each of scanRepository(driver, name)) {
    if (each.kind !== 'damaged' || each.damage.kind !== 'revision') continue
    const damage = { key: each.damage.key, kind: 'revision', repository: name, detail: each.damage.detail } as const
    if (each.damage.digest === undefined && hides(damage)) found.push(damage)
  }
  return found
}

/** Before everything is read anew: what is still there is found again. Nothing is freed until the end of that. */
export async function forgetHidden({ facts }: Pick<Parts, 'facts'>): Promise<void> {
  for await (const { key } of hiddenRows(facts)) {
    await facts.write((changed) => changed.damages.remove(key), { durable: false })
  }
}

/**
 * After everything was read: whether such a place is left. What was found `before` that, and not since, is none any more;
 * one that turned into a folder only since has not been read.
 */
export async function settleHidden({ facts, driver }: Parts, before = 0): Promise<void> {
  const noted = await facts.read.store.get(hiddenKey)
  const gone: string[] = []
  let left: string | undefined
  for await (const { key, foundAt } of hiddenRows(facts)) {
    if (foundAt < before || (await isGone(driver, key as ObjectKey))) gone.push(key)
    else left ??= key
  }
  if (gone.length === 0 && left === noted) return
  await facts.write(async (changed) => {
    for (const key of gone) await changed.damages.remove(key)
    if (left !== undefined) await changed.store.set(hiddenKey, left)
    // Another may have been found meanwhile.
    else if ((await changed.store.get(hiddenKey)) === noted) await changed.store.remove(hiddenKey)
  })
}

async function isGone(driver: StorageDriver, key: ObjectKey): Promise<boolean> {
  try {
    return (await kindOf(driver, key)) === undefined
  } catch (error) {
    if (lostCode(error) === undefined) throw error
    return false
  }
}

async function* hiddenRows(facts: Facts): AsyncIterable<Damage> {
  for (let after = ''; ; ) {
    const rows = await facts.read.damages.page(after, pageSize)
    yield* rows.filter(hides)
    const last = rows.at(-1)
    if (!last) return
    after = last.key
    await othersTurn()
  }
}
