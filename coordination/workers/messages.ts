/**
 * What a worker and its parent say to each other. Whatever is asked has a number, under which it is answered, and under
 * which the worker says that it is through.
 *
 * ```
 *  worker                      parent                       worker                      parent
 *    │ hold 7 'upload/x'         │                            │ turn 8 'docker/…/link'    │
 *    ├──────────────────────────►│ waits in line              ├──────────────────────────►│ waits in line
 *    │◄──────────────────────────┤ granted 7                  │◄──────────────────────────┤ granted 8, settled 41
 *    │ works                     │                            │ writes the file           │
 *    │◄──────────────────────────┤ asked 7                    │                           │
 *    ├──────────────────────────►│ left 7                     ├──────────────────────────►│ left 8, settled 42
 *    │◄──────────────────────────┤ answer 7, the next in line │                           │ remembers 42, the next
 * ```
 *
 * A worker that dies says nothing more: all that it held is left at that instant, and of its turns nothing is remembered.
 */
import type { Taking } from '../locks.ts'

export type FromWorker =
  | { readonly kind: 'hold'; readonly id: number; readonly name: string; readonly taking: Taking }
  | { readonly kind: 'turn'; readonly id: number; readonly key: string }
  | { readonly kind: 'fly'; readonly id: number; readonly name: string; readonly patienceMs: number }
  /** It is through. `settled` is the version that was settled in a turn, `failed` how a flight ended. */
  | { readonly kind: 'left'; readonly id: number; readonly settled?: number; readonly failed?: boolean }
  | { readonly kind: 'isHeld'; readonly id: number; readonly name: string }
  | {
      readonly kind: 'add'
      readonly id: number
      readonly name: string
      readonly by: number
      readonly windowMs: number
    }
  | Tell

export type FromParent =
  | { readonly kind: 'granted'; readonly id: number; readonly settled?: number }
  /** Somebody wants what was granted. */
  | { readonly kind: 'asked'; readonly id: number }
  /** Without `reason` it is held by others. */
  | { readonly kind: 'refused'; readonly id: number; readonly reason?: string }
  | { readonly kind: 'answer'; readonly id: number; readonly value: number | boolean | string }
  | Tell

export interface Tell {
  readonly kind: 'tell'
  readonly topic: string
  readonly text: string
}

/** One end of a line between two processes. */
export interface Channel<Out, In> {
  /** False where nobody is there any more, or too much waits to be taken: then it was not sent. */
  send(message: Out): boolean
  /** Hears until the function it returns is called. */
  listen(heard: (message: In) => void): () => void
}

export type WorkerChannel = Channel<FromWorker, FromParent>
export type ParentChannel = Channel<FromParent, FromWorker>

const kinds = {
  worker: new Set(['hold', 'turn', 'fly', 'left', 'isHeld', 'add', 'tell']),
  parent: new Set(['granted', 'asked', 'refused', 'answer', 'tell']),
}

export const isFromWorker = (message: unknown): message is FromWorker => isOneOf(kinds.worker, message)
export const isFromParent = (message: unknown): message is FromParent => isOneOf(kinds.parent, message)

/** Both ends are the same program: this tells our messages from those that Node and others send on the same line. */
function isOneOf(known: ReadonlySet<string>, message: unknown): boolean {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false
  const { kind, id } = message as { kind: unknown; id?: unknown }
  return typeof kind === 'string' && known.has(kind) && (kind === 'tell' || Number.isSafeInteger(id))
}
