/** What a run of the collector did, or would do. */
import type { CollectOptions, CollectReport, Paused, Victim } from '../operations.ts'

const namedByDefault = 1000

export interface Tally {
  reviewed: number
  freedBlobs: number
  freedBytes: number
  unlinked: number
  trashed: number
  purged: number
  failed: number
  name(victim: Victim): void
  report(tookMs: number, paused: Paused | undefined): CollectReport
}

export function createTally({ dryRun = false, named = namedByDefault }: CollectOptions): Tally {
  const victims: Victim[] = []
  return {
    reviewed: 0,
    freedBlobs: 0,
    freedBytes: 0,
    unlinked: 0,
    trashed: 0,
    purged: 0,
    failed: 0,
    name: (victim) => void (victims.length < named && victims.push(victim)),
    report(tookMs, paused) {
      const { reviewed, freedBlobs, freedBytes, unlinked, trashed, purged, failed } = this
      const figures = { reviewed, freedBlobs, freedBytes, unlinked, trashed, purged, failed }
      return { dryRun, ...figures, victims, tookMs, ...(paused && { paused }) }
    },
  }
}
