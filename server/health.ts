/** Whether this node should get traffic. */
import type { RequestListener } from 'node:http'
import type { StorageHealthSettings } from './config/settings.ts'
import type { Health } from './exchange.ts'

export interface NodeHealth extends Health {
  /** From now on: what is under way is finished, nothing new is begun. */
  drain(): void
  close(): void
}

/** Asked often and by many: one look serves all for that long. */
const freshForMs = 1000

/** With `watch.enabled` a look is taken regularly, and only several failures in a row count; else whenever asked. */
export function createHealth(probes: readonly (() => Promise<void>)[], watch: StorageHealthSettings): NodeHealth {
  let draining = false
  let last: { at: number; reason: Promise<string | undefined> } | undefined
  let failures = 0
  let reason: string | undefined

  async function look(): Promise<string | undefined> {
    try {
      for (const probe of probes) await probe()
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async function lookAgain(): Promise<void> {
    reason = await look()
    failures = reason === undefined ? 0 : failures + 1
  }

  function lookNow(): Promise<string | undefined> {
    const now = Date.now()
    if (!last || now - last.at > freshForMs) last = { at: now, reason: look() }
    return last.reason
  }

  const timer = watch.enabled ? setInterval(() => void lookAgain(), watch.intervalMs).unref() : undefined
  return {
    get draining() {
      return draining
    },
    drain() {
      draining = true
    },
    async unready() {
      if (draining) return 'this node is stopping'
      if (!watch.enabled) return lookNow()
      return failures >= Math.max(1, watch.threshold) ? reason : undefined
    },
    close: () => clearInterval(timer),
  }
}

/** What the second address answers (`http.debug.addr`): health, to whoever can reach it. */
export function createProbeAnswers(health: Health): RequestListener {
  return (request, answer) => {
    const path = request.url?.split('?')[0]
    const tell = (status: number, body: object) =>
      answer.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
    if (path === '/healthz') return void tell(200, { status: 'ok' })
    if (path !== '/readyz' && path !== '/debug/health') return void tell(404, {})
    health.unready().then(
      // distribution's /debug/health is an object of what is wrong, empty when all is well.
      (reason) => tell(reason === undefined ? 200 : 503, reason === undefined ? {} : { storagedriver: reason }),
      (error) => tell(503, { storagedriver: String(error) }),
    )
  }
}
