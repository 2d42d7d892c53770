/** How far the volume has been read, as the database remembers it: whoever is killed goes on from here. */
import type { FactQueries, StoreFacts } from '../../metadata/facts.ts'
import type { AdoptionPhase } from '../operations.ts'

const phaseKey = 'adoption'
const reasonKey = 'adoption-reason'
/** Set while storage is compared with what SQL says, where several processes would have to know. */
const comparingKey = 'adoption-comparing'
/** Where the walk of the current phase goes on. */
const cursorKey = 'adoption-cursor'

const phases: readonly AdoptionPhase[] = ['names', 'repositories', 'blobs', 'done']

export interface SavedPhase {
  readonly phase: AdoptionPhase
  readonly reason?: string
}

/** A volume that was never read has nothing to read. */
export async function readPhase(store: StoreFacts): Promise<SavedPhase> {
  const saved = await store.get(phaseKey)
  const phase = phases.find((each) => each === saved) ?? 'done'
  const reason = phase === 'done' ? undefined : await store.get(reasonKey)
  return reason === undefined ? { phase } : { phase, reason }
}

/**
 * While storage is compared, any repository may turn out to be one that storage knows better: whoever serves must not take
 * for granted that SQL is the truth.
 */
export async function isComparing(store: StoreFacts): Promise<boolean> {
  return (await store.get(comparingKey)) !== undefined
}

export function setComparing(store: StoreFacts, on: boolean): Promise<void> {
  return on ? store.set(comparingKey, 'yes') : store.remove(comparingKey)
}

/** The next phase begins at its beginning. */
export async function enterPhase(store: StoreFacts, phase: AdoptionPhase): Promise<void> {
  await store.set(phaseKey, phase)
  await store.remove(cursorKey)
  if (phase === 'done') await store.remove(reasonKey)
}

/** From this transaction on storage is the truth of every repository. `reason` is told to the operator. */
export async function beginAdoption(changed: FactQueries, reason: string): Promise<void> {
  await changed.adoption.unadoptAll()
  await enterPhase(changed.store, 'names')
  await changed.store.set(reasonKey, reason)
}

/** Single repositories are read anew, unless all of them are anyway. */
export async function reopenAdoption(changed: FactQueries, reason: string): Promise<AdoptionPhase> {
  const { phase } = await readPhase(changed.store)
  if (phase === 'names') return phase
  await enterPhase(changed.store, 'repositories')
  if (phase === 'done') await changed.store.set(reasonKey, reason)
  return 'repositories'
}

export async function readCursor(store: StoreFacts): Promise<string> {
  return (await store.get(cursorKey)) ?? ''
}

export function saveCursor(store: StoreFacts, cursor: string): Promise<void> {
  return store.set(cursorKey, cursor)
}
