/** When each of the background duties runs; never twice at the same time. */

export interface Duty {
  readonly name: string
  readonly everyMs: number
  /** Also right away: one whose interval is long would never run where restarts are frequent. */
  readonly atStart?: boolean
  run(): Promise<unknown>
}

export interface Upkeep {
  /** Ends the timers and waits for a duty that is running. */
  stop(): Promise<void>
}

export function startUpkeep(duties: readonly Duty[], onError: (error: unknown, duty: string) => void): Upkeep {
  const running = new Map<string, Promise<unknown>>()
  function start(duty: Duty): void {
    if (running.has(duty.name)) return
    const run = duty
      .run()
      .catch((error) => onError(error, duty.name))
      .finally(() => running.delete(duty.name))
    running.set(duty.name, run)
  }

  for (const duty of duties) if (duty.atStart) start(duty)
  const timers = duties.map((duty) => setInterval(() => start(duty), duty.everyMs).unref())
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await Promise.all(running.values())
    },
  }
}
