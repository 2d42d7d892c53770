/** What happens by itself while the registry serves: taking the volume over first, then keeping house. */
import { setComparing } from '../../upkeep/adopt/phase.ts'
import { NotCollected } from '../../upkeep/collect/parts.ts'
import { createDuties } from '../../upkeep/duties.ts'
import type { Progress } from '../../upkeep/operations.ts'
import { startUpkeep } from '../../upkeep/upkeep.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'
import { adoptionTopic } from './attach.ts'
import type { Store } from './store.ts'

const toldEveryMs = 10_000

export interface Background {
  /** Ends what can be ended and waits for the rest. */
  stop(): Promise<void>
}

export function startBackground(store: Store, settings: Settings, log: Logger): Background {
  const { parts } = store
  const { uploadPurging } = settings.storage.maintenance
  const ending = new AbortController()
  const duties = createDuties({
    ...parts,
    isShared: store.isShared,
    recover: store.recover,
    hear: store.readOnly.refresh,
    tell: (figures, message) => log.info(figures, message),
    uploadPurging: uploadPurging.enabled ? uploadPurging : undefined,
    collect: () => collectInBackground(store, ending.signal, log),
    collectEveryMs: settings.collector.intervalMs,
  })
  const upkeep = startUpkeep(duties, (error, duty) => {
    if (!ending.signal.aborted) log.error({ err: error, duty }, 'a background duty failed')
  })
  const catchingUp = catchUp(store, ending.signal, log)
  return {
    async stop() {
      ending.abort()
      await Promise.all([upkeep.stop(), catchingUp])
    },
  }
}

/** What the last end left behind, and what others did meanwhile. The registry serves from the beginning. */
async function catchUp(store: Store, signal: AbortSignal, log: Logger): Promise<void> {
  const { adopter, catchUp } = store
  const { phase, reason } = adopter.status()
  if (phase !== 'done') log.info({ reason }, 'reading the volume: it is served meanwhile')
  try {
    await catchUp.run(signal, telling(log))
    if (adopter.comparing && !signal.aborted) await tellCompared(store)
  } catch (error) {
    if (!signal.aborted) log.error({ err: error }, 'the volume could not be looked through')
  }
}

/** Workers have asked SQL until now whether it is the truth of a repository. */
async function tellCompared({ adopter, parts, coordination }: Store): Promise<void> {
  await parts.facts.write((changed) => setComparing(changed.store, false))
  await adopter.refresh()
  coordination.notices.tell(adoptionTopic, '')
}

/** A line every ten seconds. */
function telling(log: Logger): (progress: Progress) => void {
  let told = performance.now()
  return (progress) => {
    const now = performance.now()
    if (now - told < toldEveryMs) return
    told = now
    log.info(progress, 'looking through the volume')
  }
}

async function collectInBackground(
  { adopter, collector, operations }: Store,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  // Also while a command collects.
  if (adopter.status().phase !== 'done' || (await collector.status()).running) return
  const report = await operations
    .collect({ named: 0 }, () => {}, signal)
    .catch((error: unknown) => {
      if (!(error instanceof NotCollected)) throw error
      log.debug({ reason: error.message }, 'nothing is collected now')
    })
  if (!report) return
  const { victims: _, ...figures } = report
  const { paused, freedBlobs, unlinked, purged, trashed, failed } = figures
  if (paused) {
    const { blobs, bytes } = paused
    const told = { blobs, bytes, share: `${Math.round(paused.share * 100)} %` }
    log.warn(told, 'the collector pauses: so much would go that somebody must say yes with "berth gc --yes"')
  } else if (freedBlobs + unlinked + purged + trashed + failed > 0) log.info(figures, 'collected')
}
