/** A store that a command opens by itself, because no server has it open; and what can be done only then. */

import type { Tell, VerifyOptions } from '../../upkeep/operations.ts'
import type { Taking } from '../../upkeep/own/ownership.ts'
import { reindex } from '../../upkeep/own/reindex.ts'
import { type ReleaseReport, release } from '../../upkeep/own/release.ts'
import { withinRequests } from '../../upkeep/pace.ts'
import type { Settings } from '../config/settings.ts'
import { openLog } from '../log.ts'
import { openStore, type Store } from './store.ts'

/** Warnings alone go to standard error; fails with `RootInUse` where a server has it after all. */
export async function openForCommand(settings: Settings, taking: Taking = {}): Promise<Store> {
  const log = await openLog({ ...settings.log, level: 'warn' })
  const onFatal = (error: unknown): void => {
    log.fatal({ err: error }, 'commits can no longer be made durable')
    process.exit(70)
  }
  return openStore(settings, { log, onFatal }, taking)
}

export interface Reindexed {
  readonly repositories: number
  readonly blobs: number
  readonly bytes: number
  readonly damages: number
}

export async function reindexStore(
  store: Store,
  tell: Tell,
  signal: AbortSignal,
  { requestsPerSecond }: Pick<VerifyOptions, 'requestsPerSecond'> = {},
): Promise<Reindexed> {
  const parts = withinRequests(store.adopterParts, requestsPerSecond)
  await reindex({ ...parts, settler: store.parts.settler }, signal, tell)
  signal.throwIfAborted()
  const { adoption, collection, damages } = store.parts.facts.read
  const { adopted } = await adoption.counts()
  return { repositories: adopted, ...(await collection.totals()), damages: await damages.count() }
}

export function releaseStore({ parts, adopter }: Store, tell: Tell, signal: AbortSignal): Promise<ReleaseReport> {
  return release({ ...parts, adopter }, signal, tell)
}

export type { ReleaseReport }
