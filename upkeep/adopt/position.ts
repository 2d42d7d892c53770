/** The phase as every read asks for it: in memory, and never behind the database. */
import type { Locks } from '../../coordination/locks.ts'
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import { Failure } from '../../oci/failure.ts'
import type { AdoptionPhase } from '../operations.ts'
import { enterPhase, isComparing, readPhase, reopenAdoption, type SavedPhase } from './phase.ts'

const patienceMs = 24 * 60 * 60 * 1000

export interface Position {
  readonly phase: AdoptionPhase
  /** Whether SQL is the truth of every repository. */
  readonly isComplete: boolean
  saved(): SavedPhase
  /** Whether storage is being compared with SQL, by this process or another. */
  readonly isComparing: boolean
  /** Hears how far others have come. */
  refresh(): Promise<void>
  /** Unless a repository is to be read again meanwhile. */
  enter(phase: AdoptionPhase): Promise<void>
  /** `mark` unadopts a repository, inside the transaction, or objects: then nothing has happened, and it is false. */
  goBack(reason: string, mark: (changed: FactQueries) => Promise<boolean>): Promise<boolean>
  whenNamesKnown(): Promise<void>
  /** Nobody waits for names any more. */
  giveUp(): void
}

export async function openPosition(facts: Facts, locks: Locks): Promise<Position> {
  let saved = await readPhase(facts.read.store)
  let comparing = await isComparing(facts.read.store)
  const named = Promise.withResolvers<void>()
  named.promise.catch(() => {})
  if (saved.phase !== 'names') named.resolve()

  /** One change after the other. */
  function change<T>(work: () => Promise<T>): Promise<T> {
    return locks.hold('adoption', { when: 'wait', patienceMs }, work)
  }

  function isComplete(): boolean {
    return !comparing && (saved.phase === 'blobs' || saved.phase === 'done')
  }

  return {
    get phase() {
      return saved.phase
    },
    get isComplete() {
      return isComplete()
    },
    get isComparing() {
      return comparing
    },
    saved: () => saved,

    async refresh() {
      saved = await readPhase(facts.read.store)
      comparing = await isComparing(facts.read.store)
      if (saved.phase !== 'names') named.resolve()
    },

    enter: (phase) =>
      change(async () => {
        const from = saved.phase
        await facts.write(async (changed) => {
          if ((await readPhase(changed.store)).phase !== from) return
          const left = await changed.adoption.inState('unadopted', '', 1)
          await enterPhase(changed.store, left.length > 0 ? 'repositories' : phase)
        })
        saved = await readPhase(facts.read.store)
        if (saved.phase !== 'names') named.resolve()
      }),

    goBack: (reason, mark) =>
      change(async () => {
        // Before the transaction: from then on whoever reads must ask whether the repository is adopted.
        if (isComplete()) saved = { reason, ...saved, phase: 'repositories' }
        try {
          return await facts.write(async (changed) => {
            if (!(await mark(changed))) return false
            await reopenAdoption(changed, reason)
            return true
          })
        } finally {
          saved = await readPhase(facts.read.store)
        }
      }),

    whenNamesKnown: () => named.promise,
    giveUp: () => named.reject(new Failure('draining', {})),
  }
}
