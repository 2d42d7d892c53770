/** Whether this node should get traffic. */
import type { Health } from './exchange.ts'

export interface NodeHealth extends Health {
  /** From now on: under way is finished, nothing new is begun. */
  drain(): void
}

/** Asked often and by many: one look serves all for that long. */
const freshForMs = 1000

export function createHealth(probes: readonly (() => Promise<void>)[]): NodeHealth {
  let draining = false
  let last: { at: number; reason: Promise<string | undefined> } | undefined

  async function look(): Promise<string | undefined> {
    try {
      for (const probe of probes) await probe()
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  return {
    get draining() {
      return draining
    },
    drain() {
      draining = true
    },
    async unready() {
      if (draining) return 'this node is stopping'
      const now = Date.now()
      if (!last || now - last.at > freshForMs) last = { at: now, reason: look() }
      return last.reason
    },
  }
}
