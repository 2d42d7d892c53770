/** How a server ends: in order when it is asked to, at once when it can promise nothing any more. */
import type { Logger } from './log.ts'

/** Of a process that can promise nothing any more. */
export const fatalExit = 70

const signals = ['SIGTERM', 'SIGINT'] as const

export function endingAtOnce(log: Logger): (error: unknown) => never {
  return (error) => {
    log.fatal({ err: error }, 'commits can no longer be made durable: stopping at once, so that nothing is promised')
    process.exit(fatalExit)
  }
}

/** `stop` runs once, however often the signal comes. */
export function stopOnSignals(stop: () => Promise<void>, log: Logger): void {
  let stopping = false
  const stopOnce = async (signal: string): Promise<void> => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping: what is under way is finished')
    await stop()
    log.info('stopped')
    process.exit(0)
  }
  for (const signal of signals) {
    process.on(signal, () => {
      stopOnce(signal).catch((error) => {
        log.fatal({ err: error }, 'stopping failed')
        process.exit(1)
      })
    })
  }
}
