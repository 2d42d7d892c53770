/** What a collector is made of, and how it refuses. */
import type { LocalParts } from '../../registry/local-parts.ts'

/** Nothing was collected; the message says why. */
export class NotCollected extends Error {
  override readonly name = 'NotCollected'
}

export interface CollectParts extends LocalParts {
  /** Something could not be taken away, and is tried again. */
  readonly onError: (error: unknown, what: string) => void
}
