/** One lease while its work runs: renewed, and watched by our own clock. */

/** Of a lease's life by our clock, which may go slower than Redis'. */
const ownShare = 0.98

export interface LeaseTimes {
  readonly ttlMs: number
  readonly renewMs: number
  /** How often who waits looks by itself. */
  readonly pollMs: number
  /** How long the next in line has before anybody may come. */
  readonly handOverMs: number
  /** How long an answer is waited for. */
  readonly answerMs: number
  /** How long who must not go on without Redis waits for it to come back. */
  readonly awayMs: number
}

export interface Lease {
  readonly take: string
  readonly asked: AbortSignal
  ask(): void
  /** Resolves when no renewal is under way any more. */
  end(): Promise<void>
}

interface LeaseParts {
  readonly take: string
  /** Nothing where work began without it. */
  readonly takenAt: number | undefined
  readonly fenced: boolean
  readonly times: LeaseTimes
  /** 0 is another's, 1 is ours, 2 is ours and somebody asks for it. */
  renew(): Promise<number>
}

export function keepLease({ take, takenAt, fenced, times, renew }: LeaseParts): Lease {
  const asked = new AbortController()
  const ask = () => asked.abort()
  let renewing: Promise<void> | undefined
  let renewal: NodeJS.Timeout | undefined
  let expiry: NodeJS.Timeout | undefined
  /** When the renewal was sent that has no answer: none yet, or none at all. */
  let unansweredFrom: number | undefined
  let isOver = false

  function expireAfter(sentAt: number): void {
    const until = sentAt + times.ttlMs * ownShare
    clearTimeout(expiry)
    expiry = setTimeout(() => {
      // Redis was asked in time and is away: nobody can have it, as far as fenced work cares. Otherwise we have slept.
      const isAway = unansweredFrom !== undefined && unansweredFrom < until
      if (!fenced || !isAway) ask()
    }, until - performance.now())
    expiry.unref()
  }

  function renewAfter(ms: number): void {
    if (isOver) return
    renewal = setTimeout(() => {
      renewing = renewOnce()
    }, ms)
    renewal.unref()
  }

  async function renewOnce(): Promise<void> {
    const sentAt = performance.now()
    unansweredFrom ??= sentAt
    const answer = await renew().catch(() => undefined)
    if (isOver) return
    if (answer !== undefined) unansweredFrom = undefined
    if (answer === 0 || answer === 2) ask()
    if (answer === 1 || answer === 2) expireAfter(sentAt)
    // Also where another has it: who works on without is better off with it as soon as that is possible.
    renewAfter(answer === undefined ? times.renewMs / 3 : times.renewMs)
  }

  if (takenAt !== undefined) expireAfter(takenAt)
  renewAfter(takenAt === undefined ? times.renewMs / 3 : times.renewMs)

  return {
    take,
    asked: asked.signal,
    ask,
    async end() {
      isOver = true
      clearTimeout(expiry)
      clearTimeout(renewal)
      await renewing
    },
  }
}
