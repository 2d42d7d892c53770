/** What the registry is made of, once bytes, facts and coordination are there; the same for whoever serves a store. */
import type { Notices } from '../../coordination/notices.ts'
import type { Facts } from '../../metadata/facts.ts'
import type { Digest } from '../../oci/digest.ts'
import { createLiveHashes } from '../../registry/live-hashes.ts'
import type { LocalParts } from '../../registry/local-parts.ts'
import { createSettler } from '../../registry/settle.ts'
import type { SettleTurns } from '../../registry/settle-turns.ts'
import { type BlobStore, createBlobStore } from '../../storage/blob-store.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import { type Adopter, type AdopterParts, createAdopter } from '../../upkeep/adopt/adopt.ts'
import { isOutOfSpace, type SpaceWatch } from '../../upkeep/space.ts'
import type { Settings } from '../config/settings.ts'
import type { Logger } from '../log.ts'

export interface PartsGround extends Pick<LocalParts, 'facts' | 'driver' | 'locks' | 'settler' | 'clock'> {
  readonly notices: Notices
  readonly log: Logger
}

export interface OpenedParts {
  readonly parts: LocalParts
  readonly adopter: Adopter
  readonly adopterParts: AdopterParts
}

export async function openParts(
  { validation, collector, storage }: Settings,
  { notices, log, ...ground }: PartsGround,
): Promise<OpenedParts> {
  const unadopted = {
    ...ground,
    blobs: forgettingEverywhere(createBlobStore(ground.driver), notices),
    hashes: createLiveHashes(),
    graceMs: collector.graceMs,
    trashMs: collector.trashMs,
    sparse: validation.manifests.sparse === 'allow',
    onDamage: (key: string, reason: string) =>
      log.error({ key, reason }, 'a stored object is damaged: push it again to heal it'),
  }
  const { uploadPurging } = storage.maintenance
  const adopterParts: AdopterParts = {
    ...unadopted,
    ...(uploadPurging.enabled && !uploadPurging.dryRun && { uploadAgeMs: uploadPurging.ageMs }),
    told: (figures, message) => log.info(figures, message),
    onError: (error, what) => log.error({ err: error, what }, 'could not be read: it is tried again'),
  }
  const adopter = await createAdopter(adopterParts)
  return { parts: { ...unadopted, adoption: adopter }, adopter, adopterParts }
}

const forgetTopic = 'forget bytes'

/** What verifying finds damaged must not be told from memory, by no process. */
function forgettingEverywhere(blobs: BlobStore, notices: Notices): BlobStore {
  notices.listen(forgetTopic, (digest) => blobs.forget(digest as Digest))
  return {
    ...blobs,
    forget(digest) {
      blobs.forget(digest)
      notices.tell(forgetTopic, digest)
    },
  }
}

interface SettlingGround {
  readonly facts: Facts
  readonly driver: StorageDriver
  readonly locks: LocalParts['locks']
  readonly turns: SettleTurns
  readonly space: Pick<SpaceWatch, 'full'>
  readonly log: Logger
}

export function openSettler({ space, log, ...ground }: SettlingGround): LocalParts['settler'] {
  const onError = (error: unknown, key: string) => {
    if (isOutOfSpace(error)) space.full()
    log.error({ err: error, key }, 'a link file could not be written: it stays owed')
  }
  return createSettler({ ...ground, onError })
}
