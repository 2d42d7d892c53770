/**
 * The least that a request body and an answer must achieve. A body may take as long as it needs, but not for ever
 * without arriving: each starts with an allowance of waiting time, waiting for the client uses it up, and bytes that
 * arrive earn it back. At 1 KiB/s it never ends; a silent client is cut off after a minute. Time in which we are the ones
 * who do not read is not counted.
 *
 * Answers follow the same rule with more patience, because what is seen of them is not what the client takes but what
 * the kernel accepts, up to half a mebibyte at a time.
 */
export interface ProgressRule {
  readonly bytesPerSecond: number
  readonly allowanceMs: number
  readonly answerAllowanceMs: number
  /** How often allowances are looked at: one timer for all bodies. */
  readonly checkMs: number
  readonly now: () => number
}

/** What is watched; a stream. */
export interface WatchedBody {
  readonly destroyed: boolean
  destroy(error: Error): unknown
}

export interface BodyProgress {
  /** Bytes have arrived. */
  received(bytes: number): void
  /** True while the next bytes are the client's to send, false while we work. A body begins with false. */
  waiting(forClient: boolean): void
  /** The body has ended or nobody reads it any more. */
  done(): void
}

/** An answer on its way to its client. */
export interface WatchedAnswer {
  /** Bytes that went out so far; of its whole connection, where that is all that is known. */
  sent(): number
  /** Whether bytes wait for the client now. */
  waits(): boolean
  cutOff(): void
}

export interface ProgressWatch {
  watch(body: WatchedBody): BodyProgress
  /** Returns what ends the watch. */
  watchAnswer(answer: WatchedAnswer): () => void
  close(): void
}

interface Watched {
  readonly body: WatchedBody
  allowanceMs: number
  waitingSince: number | undefined
}

interface Leaving {
  readonly answer: WatchedAnswer
  allowanceMs: number
  sent: number
  seenAt: number
}

export class StalledBody extends Error {
  override readonly name = 'StalledBody'
}

const usualRule: ProgressRule = {
  bytesPerSecond: 1024,
  allowanceMs: 60_000,
  answerAllowanceMs: 300_000,
  checkMs: 5_000,
  now: () => performance.now(),
}

export function createProgressWatch(changes: Partial<ProgressRule> = {}): ProgressWatch {
  const rule = { ...usualRule, ...changes }
  const bodies = new Set<Watched>()
  const answers = new Set<Leaving>()
  const msPerByte = 1000 / rule.bytesPerSecond
  let timer: NodeJS.Timeout | undefined

  function charge(watched: Watched, now: number): void {
    if (watched.waitingSince === undefined) return
    // More than that can only mean that the event loop stood still: bytes may have arrived that we have not seen.
    watched.allowanceMs -= Math.min(now - watched.waitingSince, rule.checkMs * 2)
    watched.waitingSince = now
  }

  function checkAll(): void {
    const now = rule.now()
    for (const watched of bodies) {
      charge(watched, now)
      if (watched.body.destroyed) bodies.delete(watched)
      else if (watched.allowanceMs <= 0) cutOff(watched)
    }
    for (const leaving of answers) checkAnswer(leaving, now)
  }

  function checkAnswer(leaving: Leaving, now: number): void {
    const sent = leaving.answer.sent()
    const earned = (sent - leaving.sent) * msPerByte
    const spent = leaving.answer.waits() ? Math.min(now - leaving.seenAt, rule.checkMs * 2) : 0
    leaving.allowanceMs = Math.min(rule.answerAllowanceMs, leaving.allowanceMs + earned - spent)
    leaving.sent = sent
    leaving.seenAt = now
    if (leaving.allowanceMs > 0) return
    answers.delete(leaving)
    leaving.answer.cutOff()
  }

  function cutOff(watched: Watched): void {
    bodies.delete(watched)
    const seconds = Math.round(rule.allowanceMs / 1000)
    watched.body.destroy(
      new StalledBody(`the request body stalled: below ${rule.bytesPerSecond} bytes a second for ${seconds} s`),
    )
  }

  function start(): void {
    timer ??= setInterval(checkAll, rule.checkMs).unref()
  }

  function watchAnswer(answer: WatchedAnswer): () => void {
    const leaving = { answer, allowanceMs: rule.answerAllowanceMs, sent: answer.sent(), seenAt: rule.now() }
    answers.add(leaving)
    start()
    return () => answers.delete(leaving)
  }

  function watch(body: WatchedBody): BodyProgress {
    const watched: Watched = { body, allowanceMs: rule.allowanceMs, waitingSince: undefined }
    bodies.add(watched)
    start()
    return {
      received(bytes) {
        watched.allowanceMs = Math.min(rule.allowanceMs, watched.allowanceMs + bytes * msPerByte)
      },
      waiting(forClient) {
        const now = rule.now()
        charge(watched, now)
        watched.waitingSince = forClient ? now : undefined
      },
      done: () => bodies.delete(watched),
    }
  }

  return { watch, watchAnswer, close: () => clearInterval(timer) }
}
