import { blobPushes, crowdedPushes } from './blob-pushes.ts'
import { blobReads } from './blob-reads.ts'
import { images } from './images.ts'
import { lists } from './lists.ts'
import { manifestReads } from './manifests.ts'
import type { Group, Plan } from './scenario.ts'
import { slowDownloads } from './slow-downloads.ts'

/** Every scenario in the order of the report. */
export function allGroups(plan: Plan): readonly Group[] {
  return [
    manifestReads(),
    blobReads(plan),
    ...blobPushes(plan),
    images(),
    ...lists(plan),
    crowdedPushes(plan),
    slowDownloads(plan),
  ]
}
