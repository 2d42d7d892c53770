/**
 * What clients asked, and what they were told. Every tag, every manifest by its digest and every blob of a repository is
 * a register: it holds a digest or nothing. Requests are noted when they begin and when their answer has come, on one
 * clock that only counts.
 *
 * ```
 *  client 1   ├── put tag D1 ──┤                  201: it happened between these two
 *  client 2        ├── put tag D2 ─────── ✂       no answer: until the server is back it happened, or it never does
 *  client 3                        ├─ get ─┤      404, or the digest of what was read
 * ```
 */

export const nothing = 'nothing'

/** What a request does to a register. A value is a digest, or `nothing`. */
export type Effect =
  | { readonly kind: 'write'; readonly digest: string }
  /** Where the register has the value `from`. */
  | { readonly kind: 'swap'; readonly from: string; readonly digest: string }
  /** Where there is anything. */
  | { readonly kind: 'delete' }
  /** Removes this digest, and leaves any other. */
  | { readonly kind: 'untag'; readonly digest: string }
  /** A digest, `nothing`, or `anything`: one that was not told. */
  | { readonly kind: 'read'; readonly saw: string }
  /** Was told that the value is another one. */
  | { readonly kind: 'read'; readonly sawNot: string }

export interface Change {
  readonly register: string
  readonly effect: Effect
}

export interface Operation {
  readonly client: string
  readonly effect: Effect
  readonly start: number
  /** When the answer had come; of an unknown outcome, from when on it can no longer happen. */
  readonly end: number
  readonly outcome: 'ok' | 'unknown'
}

export interface Call {
  /** The answer has come, and this is what it says. */
  done(changes: readonly Change[]): void
}

export interface History {
  /** `possible` is what the request may have done when no answer comes. */
  begin(client: string, possible: readonly Change[]): Call
  /** The server that was asked is gone and another one serves: what has not happened by now never will. */
  close(): void
  /** What was noted since the last time, by register. Nothing may be under way. */
  take(): Map<string, Operation[]>
}

interface Open {
  readonly client: string
  readonly start: number
  readonly possible: readonly Change[]
}

export function createHistory(): History {
  let now = 0
  let noted = new Map<string, Operation[]>()
  const open = new Set<Open>()

  function note({ client, start }: Open, changes: readonly Change[], outcome: Operation['outcome']): void {
    for (const { register, effect } of changes) {
      const operations = noted.get(register) ?? []
      operations.push({ client, effect, start, end: now, outcome })
      noted.set(register, operations)
    }
  }

  return {
    begin(client, possible) {
      const call = { client, start: ++now, possible }
      open.add(call)
      return {
        done(changes) {
          // An answer that comes after the server was replaced was on its way before.
          if (!open.delete(call)) throw new Error('an answer was noted after its server had been given up')
          now++
          note(call, changes, 'ok')
        },
      }
    },
    close() {
      now++
      for (const call of open) note(call, call.possible, 'unknown')
      open.clear()
    },
    take() {
      if (open.size > 0) throw new Error(`${open.size} requests are still under way`)
      const taken = noted
      noted = new Map()
      return taken
    },
  }
}
