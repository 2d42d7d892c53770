/** A process that serves a store which its parent keeps. */

import { joinStore } from '../compose/workers.ts'
import { composeWorker } from '../compose.ts'
import type { Settings } from '../config/settings.ts'
import { endingAtOnce } from '../ending.ts'
import { listen } from '../listener.ts'
import { type Logger, openLog } from '../log.ts'
import { isOperators } from '../welcome.ts'
import { isOfLife, type ToKeeper, type ToWorker } from './messages.ts'

/** Does what its parent says until it says stop. */
export async function work(): Promise<void> {
  const start = told('start')
  let stop: () => Promise<void> = async () => {}
  void told('stop').then(async () => {
    // It may be in the middle of its start: then nothing is under way.
    await stop()
    process.exit(0)
  })
  await tell({ kind: 'here' })
  const { settings, number } = await start
  const own = asWorker(settings, number)
  try {
    stop = await serve(own, await openLog(own.log))
  } catch (error) {
    const reason = isOperators(error) ? error.message : String((error as Error)?.stack ?? error)
    await tell({ kind: 'failed', reason, isOperators: isOperators(error) })
    process.exit(1)
  }
}

async function serve(settings: Settings, log: Logger): Promise<() => Promise<void>> {
  const { http } = settings
  const go = told('go')
  const leave = await joinStore(settings)
  await tell({ kind: 'joined' })
  await go
  const node = await composeWorker(settings, { log, onFatal: endingAtOnce(log) }, process)
  const onRequest = node.app.callback()
  const listener = await listen({ address: http.listen, ...(http.tls && { tls: http.tls }), onRequest, log })
  await tell({ kind: 'serving', url: listener.url })
  return async () => {
    node.health.drain()
    await listener.close(http.drainTimeoutMs)
    await node.close()
    leave()
  }
}

/** Its log says which one speaks. */
function asWorker(settings: Settings, number: number): Settings {
  return { ...settings, log: { ...settings.log, fields: { ...settings.log.fields, worker: String(number) } } }
}

function told<K extends ToWorker['kind']>(kind: K): Promise<Extract<ToWorker, { kind: K }>> {
  return new Promise((resolve) => {
    process.on('message', (message: unknown) => {
      if (isOfLife(message) && message.kind === kind) resolve(message as Extract<ToWorker, { kind: K }>)
    })
  })
}

function tell(message: ToKeeper): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(message, undefined, undefined, () => resolve())
    else resolve()
  })
}
