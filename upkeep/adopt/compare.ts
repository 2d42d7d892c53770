/**
 * After a start with its own database SQL is the truth, and whatever storage lacked has been written. So what differs now
 * was changed by another program, while nobody served the volume or beside whoever did: storage is right about that
 * repository, and it is read again.
 *
 * A disk that is not mounted looks as if everything had been deleted. Where most repositories are gone, nothing is done.
 */
import type { FactQueries } from '../../metadata/facts.ts'
import type { Damage } from '../../metadata/facts-upkeep.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import type { Tell } from '../operations.ts'
import type { Adopter, Consent } from './adopt.ts'
import { foreignChanges, type CompareParts as Parts } from './compare-repository.ts'
import { addDamage, findHiddenRoots, settleHidden } from './hidden.ts'
import { holdsRepository, namesOf } from './names.ts'
import { othersTurn } from './portions.ts'

const pageSize = 500
const namedKeys = 5
/** How often pushes may come in between. */
const attempts = 5

export interface CompareParts extends Parts {
  readonly adopter: Adopter
  readonly onError: (error: unknown, what: string) => void
}

export interface Compared {
  readonly repositories: number
  /** Those that another program had changed. */
  readonly changed: number
  /** Why nothing was done. */
  readonly refused?: string
}

export interface Comparer {
  /** Goes on to read what must be read again. */
  run(signal: AbortSignal, tell: Tell): Promise<Compared>
}

export function createComparer(parts: CompareParts): Comparer {
  const { facts, driver, adopter, settler, clock, told, onError } = parts
  let isWhole = true

  async function run(signal: AbortSignal, tell: Tell): Promise<Compared> {
    const counts = { repositories: 0, changed: 0 }
    const startedAt = clock()
    if (adopter.status().phase !== 'done') return counts
    isWhole = true
    const refused = await whyNot(signal)
    if (refused !== undefined) {
      onError(new Error(refused), 'the link files of the volume')
      return { ...counts, refused }
    }
    for await (const name of knownNames()) {
      signal.throwIfAborted()
      if (await attempt(name, () => compareKnown(name, signal))) counts.changed++
      tell({ phase: 'comparing', done: ++counts.repositories, unit: 'repositories' })
    }
    const odd = await findHiddenRoots(driver)
    for await (const name of namesOf(driver, (damage) => void odd.push(damage))) {
      signal.throwIfAborted()
      await note(odd.splice(0))
      if (await attempt(name, () => compareUnknown(name, signal))) counts.changed++
    }
    await note(odd)
    // What could not be compared may still hide facts.
    await settleHidden(parts, isWhole ? startedAt : 0)
    if (adopter.status().phase !== 'done') await adopter.run(signal, tell)
    return counts
  }

  async function attempt(name: RepositoryName, work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') throw error
      onError(error, name)
      isWhole = false
      return false
    } finally {
      await othersTurn()
    }
  }

  async function note(damages: readonly Omit<Damage, 'foundAt'>[]): Promise<void> {
    if (damages.length === 0) return
    const foundAt = clock()
    await facts.write(async (changed) => {
      for (const damage of damages) await addDamage(changed, { ...damage, foundAt })
    })
  }

  async function* knownNames(): AsyncIterable<RepositoryName> {
    for (let after = ''; ; ) {
      const page = await facts.read.repositories.page(after, pageSize)
      yield* page
      const last = page.at(-1)
      if (last === undefined) return
      after = last
    }
  }

  async function compareKnown(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    const repository = await facts.read.repositories.find(name)
    if (repository?.state !== 'adopted') return false
    const keys = await foreignChanges(parts, name, repository.id, signal)
    if (keys.length === 0) return false
    return readAgain(name, keys, (changed) => isAtRest(changed, name), signal)
  }

  /** One whose deletion is still owed to storage is known, in its way. */
  async function compareUnknown(name: RepositoryName, signal: AbortSignal): Promise<boolean> {
    if (await facts.read.repositories.find(name)) return false
    const mayChange: Consent = async (changed) => {
      const known = await changed.repositories.find(name)
      return !known && isAtRest(changed, name)
    }
    return readAgain(name, [layout.repository(name)], mayChange, signal)
  }

  /** What is owed to storage was promised to somebody: it is written first. */
  async function readAgain(
    name: RepositoryName,
    keys: readonly ObjectKey[],
    mayChange: Consent,
    signal: AbortSignal,
  ): Promise<boolean> {
    for (let left = attempts; left > 0; left--) {
      if (await adopter.readAgain(name, mayChange, signal)) {
        const figures = { repository: name, changes: keys.length, keys: keys.slice(0, namedKeys) }
        told(figures, 'another program changed this repository: it was read again from storage')
        return true
      }
      await settler.settleAll()
    }
    return false
  }

  /** Why the volume cannot be the one that was served. */
  async function whyNot(signal: AbortSignal): Promise<string | undefined> {
    let [there, gone] = [0, 0]
    for await (const name of knownNames()) {
      signal.throwIfAborted()
      if (await holdsRepository(driver, name)) there++
      else if (await hasFacts(name)) gone++
      await othersTurn()
    }
    const isMost = gone > there && (gone > 1 || !(await hasRepositories()))
    if (!isMost) return undefined
    return (
      `${gone} of ${gone + there} repositories have no folder under ${layout.repositories} any more: check that the ` +
      'disk is mounted; nothing was changed. Where they were deleted on purpose, "berth reindex" believes storage'
    )
  }

  async function hasFacts(name: RepositoryName): Promise<boolean> {
    const id = (await facts.read.repositories.find(name))?.id
    if (id === undefined || !(await isAtRest(facts.read, name))) return false
    const { layers, revisions } = facts.read.adoption
    return (await layers(id, '', 1)).length + (await revisions(id, '', 1)).length > 0
  }

  async function hasRepositories(): Promise<boolean> {
    for await (const _ of driver.children(layout.repositories)) return true
    return false
  }

  return { run }
}

/** Whether storage lacks nothing of the repository. */
async function isAtRest(facts: FactQueries, name: RepositoryName): Promise<boolean> {
  for (const prefix of [`${layout.repository(name)}/_`, `${layout.mediaTypes}/${name}/_`]) {
    const [next] = await facts.owed.page(prefix, 1)
    if (next?.key.startsWith(prefix)) return false
  }
  return true
}
