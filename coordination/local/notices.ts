import type { Notices } from '../notices.ts'

type Heard = (text: string) => void

/** Notices within this process. What a listener throws reaches `onError` and nobody else. */
export function createLocalNotices(onError: (error: unknown) => void = () => {}): Notices {
  const listeners = new Map<string, Set<Heard>>()

  function say(heard: Heard, text: string): void {
    try {
      heard(text)
    } catch (error) {
      onError(error)
    }
  }

  return {
    tell(topic, text) {
      // Later: who tells is in the middle of something, and must not find it changed by who listens.
      queueMicrotask(() => {
        for (const heard of [...(listeners.get(topic) ?? [])]) say(heard, text)
      })
    },
    listen(topic, heard) {
      // The same function may listen twice.
      const own: Heard = (text) => heard(text)
      const all = listeners.get(topic) ?? new Set<Heard>()
      listeners.set(topic, all.add(own))
      return () => {
        all.delete(own)
        if (all.size === 0 && listeners.get(topic) === all) listeners.delete(topic)
      }
    },
  }
}
