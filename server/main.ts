/** The process: settings in, a listening registry out, an orderly end on SIGTERM. */

import { StartRefused } from '../oci/failure.ts'
import { compose, type Node } from './compose.ts'
import type { Settings } from './config/settings.ts'
import { createProbeAnswers } from './health.ts'
import { type Listener, listen } from './listener.ts'
import { type Logger, openLog } from './log.ts'

export interface Loaded {
  readonly settings: Settings
  /** What the configuration's reader wants its owner to know. */
  readonly warnings: readonly string[]
}

/** Serves until a signal ends it. A start that fails says why in one line and exits with 1. */
export async function serve({ settings, warnings }: Loaded): Promise<void> {
  const log = await openLog(settings.log)
  for (const warning of warnings) log.warn(warning)
  const onFatal = (error: unknown): void => {
    log.fatal({ err: error }, 'commits can no longer be made durable: stopping at once, so that nothing is promised')
    process.exit(70)
  }
  try {
    const node = await compose(settings, { log, onFatal })
    const [listener, ...others] = await listenFor(node, settings, log)
    stopOnSignals(node, [listener, ...others], settings, log)
    log.info(welcome(listener.url, settings))
  } catch (error) {
    log.fatal(isOperators(error) ? reasonOf(error) : { err: error }, 'Berth cannot start')
    process.exitCode = 1
    setImmediate(() => process.exit(1))
  }
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

function stopOnSignals(node: Node, listeners: readonly Listener[], { http }: Settings, log: Logger): void {
  let stopping = false
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping: what is under way is finished')
    node.health.drain()
    await Promise.all(listeners.map((listener) => listener.close(http.drainTimeoutMs)))
    await node.close()
    log.info('stopped')
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stop(signal).catch((error) => {
        log.fatal({ err: error }, 'stopping failed')
        process.exit(1)
      })
    })
  }
}

/** The one line that a new user reads: where it is, and what to try. */
function welcome(url: string, { storage, http }: Settings): string {
  const where = storage.driver.name === 'filesystem' ? storage.driver.root : 'memory (nothing survives a restart)'
  const host = url.replace(/^https?:\/\//, '')
  return `Berth serves ${url}${http.prefix} from ${where}; try: docker tag busybox ${host}/busybox && docker push ${host}/busybox`
}

/** Failures of the surroundings, which their operator can mend: their message is enough. */
function isOperators(error: unknown): error is Error {
  if (error instanceof StartRefused) return true
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'EROFS', 'ENOENT', 'ENOSPC'].includes(code ?? '')
}

const reasonOf = (error: Error) => ({ reason: error.message })
