/**
 * The life of a worker, as its parent and it tell each other. The settings are handed over: a file that was changed
 * meanwhile must not make one worker another registry than the others.
 *
 * ```
 *   worker            parent
 *     ├─ here ────────►│
 *     │◄─ start ───────┤  settings
 *     ├─ joined ──────►│  whoever takes the store from the parent now waits for this worker
 *     │◄─ go ──────────┤
 *     ├─ serving ─────►│  or failed, and its end
 *     │◄─ stop ────────┤  lets what is under way finish, and ends
 * ```
 */
import type { Settings } from '../config/settings.ts'

export type ToWorker =
  | { readonly kind: 'start'; readonly settings: Settings; readonly number: number }
  | { readonly kind: 'go' }
  | { readonly kind: 'stop' }

export type ToKeeper =
  | { readonly kind: 'here' }
  | { readonly kind: 'joined' }
  | { readonly kind: 'serving'; readonly url: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly isOperators: boolean }

const known = new Set(['start', 'go', 'stop', 'here', 'joined', 'serving', 'failed'])

/** Both ends are the same program. */
export function isOfLife(message: unknown): message is ToWorker | ToKeeper {
  return typeof message === 'object' && message !== null && 'kind' in message && known.has((message as ToKeeper).kind)
}
