/** Channels that are subscribed to, whatever becomes of the connection. */
import type { Redis } from 'ioredis'

/** Its answer shows that the connection lives: one that stays silent is given up by the client. */
const againEveryMs = 3_000

export interface Ears {
  listen(channel: string, heard: (text: string) => void): () => void
  /** Resolves when the first connection listens, or has failed. */
  ready(): Promise<void>
  close(): void
}

/** `own` is listened to from the first connection on. */
export function createEars(connection: Redis, own: string): Ears {
  const heard = new Map<string, Set<(text: string) => void>>([[own, new Set()]])
  const first = Promise.withResolvers<void>()

  async function subscribe(channels: readonly string[]): Promise<void> {
    if (connection.status !== 'ready') return
    await connection.subscribe(...channels).catch(() => {})
  }
  connection.on('ready', () => subscribe([...heard.keys()]).then(first.resolve))
  connection.on('close', first.resolve)
  connection.on('error', () => {})
  connection.on('message', (channel: string, text: string) => {
    for (const each of [...(heard.get(channel) ?? [])]) each(text)
  })
  const again = setInterval(() => subscribe([own]), againEveryMs)
  again.unref()

  return {
    ready: () => first.promise,
    listen(channel: string, hear: (text: string) => void): () => void {
      const all = heard.get(channel) ?? new Set()
      // The same function may listen twice.
      const each = (text: string) => hear(text)
      if (!heard.has(channel)) void subscribe([channel])
      heard.set(channel, all.add(each))
      return () => {
        all.delete(each)
        if (all.size > 0 || heard.get(channel) !== all) return
        heard.delete(channel)
        if (connection.status === 'ready') connection.unsubscribe(channel).catch(() => {})
      }
    },
    close(): void {
      clearInterval(again)
      connection.disconnect()
    },
  }
}
