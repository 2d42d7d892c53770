/**
 * Taking over a volume whose facts only storage knows: of another registry, without its database, or after it was handed
 * back. It goes on in the background, and everything is served meanwhile.
 *
 * ```
 * names ──► repositories ──► blobs ──► done
 *   │           │              └ bytes that nothing names are left to the collector, which rests until then
 *   │           └ each in a transaction of its own; what somebody asks for comes first
 *   └ lists of repositories wait for this
 * ```
 *
 * One process adopts; others of the same store ask, now and then, how far it is.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { LockBusy } from '../../coordination/locks.ts'
import type { FactQueries, RepositoryRow } from '../../metadata/facts.ts'
import { Failure } from '../../oci/failure.ts'
import type { RepositoryName } from '../../oci/name.ts'
import type { Adoption } from '../../registry/adoption.ts'
import type { AdoptionStatus, Progress, Tell } from '../operations.ts'
import { absentNames, forgetRepository } from './absent.ts'
import { adoptBlobs } from './blobs.ts'
import { settleHidden } from './hidden.ts'
import { adoptNames, holdsRepository } from './names.ts'
import type { AdopterParts } from './parts.ts'
import { readCursor } from './phase.ts'
import { mapSlices } from './portions.ts'
import { openPosition } from './position.ts'
import { adoptRepository } from './repository.ts'
import { adoptTrash } from './trash.ts'

export type { AdopterParts } from './parts.ts'

const repositoriesAtOnce = 4
const pageSize = 100
const defaultRetryMs = 60_000
/** A repository of a million tags takes minutes. */
const patienceMs = 24 * 60 * 60 * 1000

export interface Adopter extends Adoption {
  status(): AdoptionStatus
  /** Whether storage is being compared with SQL, by any process. */
  readonly comparing: boolean
  /** Hears how far others have come. */
  refresh(): Promise<void>
  /** Reads whatever is not read yet; ends early only where `signal` asks for it. What fails is tried again. */
  run(signal: AbortSignal, tell: Tell): Promise<void>
  /**
   * Another program changed this repository, or made it: storage is its truth again, and it is read at once. `mayChange`
   * is asked inside the transaction; false where it, or a push that is under way, has objected. `run` must follow, also
   * where `signal` ended it.
   */
  readAgain(name: RepositoryName, mayChange: Consent, signal?: AbortSignal): Promise<boolean>
}

/** Whether nothing stands in the way, by the facts of that very transaction. */
export type Consent = (changed: FactQueries) => Promise<boolean>

export async function createAdopter(parts: AdopterParts): Promise<Adopter> {
  const { facts, driver, locks, clock, told, onError, retryMs = defaultRetryMs } = parts
  const position = await openPosition(facts, locks)
  let progress: Progress | undefined
  let changedElsewhere = 0

  async function adopt(name: RepositoryName, signal?: AbortSignal): Promise<void> {
    try {
      await locks.hold(`adopt/${name}`, { when: 'wait', patienceMs }, () => adoptHeld(name, signal))
    } catch (error) {
      // Nodes cannot hear of each other, and only one may read it.
      throw error instanceof LockBusy ? new Failure('unavailable', {}, { cause: error }) : error
    }
  }

  async function adoptHeld(name: RepositoryName, signal?: AbortSignal): Promise<void> {
    const known = await facts.read.repositories.find(name)
    if (known?.state === 'adopted') return
    const isThere = await holdsRepository(driver, name)
    if (!isThere && !known) return
    const repository = known ?? (await announce(name))
    if (repository.state === 'adopted') return
    if (!isThere) await forgetRepository(parts, name, repository.id)
    else {
      const counts = await adoptRepository(parts, name, repository, signal)
      if (counts.damages + counts.uploads > 0) told({ repository: name, ...counts }, 'read a repository from storage')
    }
  }

  /** It may be listed as deleted: then there is one of that name again. Or somebody has just pushed the first of it. */
  function announce(name: RepositoryName): Promise<RepositoryRow> {
    return facts.write(async (changed) => {
      const known = await changed.repositories.find(name)
      if (known) return known
      const { id } = await changed.repositories.ensure(name, clock())
      await changed.adoption.setState(id, 'unadopted')
      return { id, state: 'unadopted' }
    })
  }

  /** One that cannot be read keeps none of the others. */
  async function adoptAll(signal: AbortSignal, tell: Tell): Promise<boolean> {
    let complete = true
    let done = 0
    const total = (await facts.read.adoption.counts()).unadopted
    for (let after = ''; ; ) {
      const page = await facts.read.adoption.inState('unadopted', after, pageSize)
      const last = page.at(-1)
      if (!last) return complete
      await mapSlices(
        page,
        async ({ name }) => {
          signal.throwIfAborted()
          const [outcome] = await Promise.allSettled([adopt(name, signal)])
          signal.throwIfAborted()
          if (outcome.status === 'rejected') {
            complete = false
            onError(outcome.reason, name)
          }
          say({ phase: 'repositories', done: ++done, total, unit: 'repositories' }, tell)
        },
        repositoriesAtOnce,
      )
      after = last.name
    }
  }

  function say(next: Progress, tell: Tell): void {
    progress = next
    tell(next)
  }

  /** Does the current phase; false where it must be done again. */
  async function step(signal: AbortSignal, tell: Tell): Promise<boolean> {
    if (position.phase === 'names') {
      // Of an earlier database, or of an earlier attempt.
      const hadNames =
        (await facts.read.adoption.inState('unadopted', '', 1)).length > 0 ||
        (await readCursor(facts.read.store)) !== ''
      await adoptNames(parts, signal, (done) => say({ phase: 'names', done, unit: 'repositories' }, tell))
      if (hadNames) for await (const name of absentNames(parts, signal)) await adopt(name, signal)
      const restored = await adoptTrash(parts, signal)
      if (restored > 0) told({ entries: restored }, 'found deleted images that can be restored')
      await position.enter('repositories')
    } else if (position.phase === 'repositories') {
      if (!(await adoptAll(signal, tell))) return false
      await settleHidden(parts)
      await position.enter('blobs')
    } else {
      const counts = await adoptBlobs(parts, signal, (done) => say({ phase: 'blobs', done, unit: 'blobs' }, tell))
      progress = undefined
      if (counts.unknown + counts.missing > 0) told(counts, 'compared the stored bytes with what is known of them')
      await position.enter('done')
    }
    return true
  }

  async function attempt(signal: AbortSignal, tell: Tell): Promise<boolean> {
    try {
      return await step(signal, tell)
    } catch (error) {
      signal.throwIfAborted()
      onError(error, `the phase "${position.phase}"`)
      return false
    }
  }

  return {
    get complete() {
      return position.isComplete
    },
    get namesKnown() {
      return position.phase !== 'names'
    },
    whenNamesKnown: position.whenNamesKnown,
    get comparing() {
      return position.isComparing
    },
    refresh: position.refresh,
    adopt,

    status: () => ({ ...position.saved(), ...(progress && { progress }), changedElsewhere }),

    async run(signal, tell) {
      const { phase, reason } = position.saved()
      try {
        while (position.phase !== 'done') {
          if (!(await attempt(signal, tell))) await sleep(retryMs, undefined, { signal })
        }
      } catch (error) {
        if (!signal.aborted) throw error
        position.giveUp()
        return
      }
      if (phase !== 'done') told({ ...(await facts.read.adoption.counts()), reason }, 'read the whole volume')
    },

    async readAgain(name, mayChange, signal) {
      const mark = async (changed: FactQueries) => {
        if (!(await mayChange(changed))) return false
        const { id } = await changed.repositories.ensure(name, clock())
        await changed.adoption.setState(id, 'unadopted')
        return true
      }
      if (!(await position.goBack('another program changed it', mark))) return false
      changedElsewhere++
      await adopt(name, signal)
      return true
    },
  }
}
