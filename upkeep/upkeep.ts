/** When each of the background duties runs. One at a time, never while the one before is still at it. */

export interface Duty {
  readonly name: string
  readonly everyMs: number
  run(): Promise<unknown>
}

export interface Upkeep {
  /** Ends the timers and waits for a duty that is running. */
  stop(): Promise<void>
}

export function startUpkeep(duties: readonly Duty[], onError: (error: unknown, duty: string) => void): Upkeep {
  const running = new Map<string, Promise<unknown>>()
  const timers = duties.map((duty) => {
    const timer = setInterval(() => {
      if (running.has(duty.name)) return
      const run = duty
        .run()
        .catch((error) => onError(error, duty.name))
        .finally(() => running.delete(duty.name))
      running.set(duty.name, run)
    }, duty.everyMs)
    return timer.unref()
  })
  return {
    async stop() {
      for (const timer of timers) clearInterval(timer)
      await Promise.all(running.values())
    },
  }
}
