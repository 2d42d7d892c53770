/** What verifying a store needs, and how it refuses. */
import type { LocalParts } from '../../registry/local-parts.ts'

/** Nothing was verified; the message says why. */
export class NotVerified extends Error {
  override readonly name = 'NotVerified'
}

export interface VerifyParts
  extends Pick<
    LocalParts,
    'facts' | 'driver' | 'blobs' | 'locks' | 'settler' | 'adoption' | 'clock' | 'graceMs' | 'sparse'
  > {
  /** Something is not what it must be; told once each time it is found. */
  readonly onDamage: (key: string, reason: string) => void
}
