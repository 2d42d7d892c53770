/** The process: settings in, a listening registry out, an orderly end on SIGTERM. Or the parent of several that serve. */

import { countWorkers } from './compose/workers.ts'
import { compose, type Node } from './compose.ts'
import type { Settings } from './config/settings.ts'
import { endingAtOnce, stopOnSignals } from './ending.ts'
import { createProbeAnswers } from './health.ts'
import { type Listener, listen } from './listener.ts'
import { type Logger, openLog } from './log.ts'
import { isOperators, welcome } from './welcome.ts'

export interface Loaded {
  readonly settings: Settings
  /** What the configuration's reader wants its owner to know. */
  readonly warnings: readonly string[]
}

/** Serves until a signal ends it. A start that fails says why in one line and exits with 1. */
export async function serve({ settings, warnings }: Loaded): Promise<void> {
  const log = await openLog(settings.log)
  for (const warning of warnings) log.warn(warning)
  try {
    const workers = await countWorkers(settings)
    if (workers === 1) return await serveAlone(settings, log)
    const { keep } = await import('./workers/keeper.ts')
    await keep(settings, workers, log)
  } catch (error) {
    log.fatal(isOperators(error) ? { reason: error.message } : { err: error }, 'Berth cannot start')
    process.exitCode = 1
    setImmediate(() => process.exit(1))
  }
}

async function serveAlone(settings: Settings, log: Logger): Promise<void> {
  const node = await compose(settings, { log, onFatal: endingAtOnce(log) })
  const [listener, ...others] = await listenFor(node, settings, log)
  const stop = async (): Promise<void> => {
    node.health.drain()
    await Promise.all([listener, ...others].map((each) => each.close(settings.http.drainTimeoutMs)))
    await node.close()
  }
  stopOnSignals(stop, log)
  log.info(welcome(listener.url, settings))
}

/** The registry's address first, then the one for probes, where there is one. */
async function listenFor(node: Node, { http }: Settings, log: Logger): Promise<[Listener, ...Listener[]]> {
  try {
    const onRequest = node.app.callback()
    const listener = await listen({ address: http.listen, ...(http.tls && { tls: http.tls }), onRequest, log })
    if (!http.debug.listen) return [listener]
    const probes = createProbeAnswers(node.health)
    return [listener, await listen({ address: http.debug.listen, onRequest: probes, log })]
  } catch (error) {
    await node.close()
    throw error
  }
}
