import { createLocalNotices } from '../local/notices.ts'
import type { Notices } from '../notices.ts'
import type { RedisLink } from './link.ts'

/** This node hears its own at once, with or without Redis; what comes back of them is not told again. */
export function createRedisNotices(link: RedisLink, onError?: (error: unknown) => void): Notices {
  const local = createLocalNotices(onError)
  const channelOf = (topic: string) => `${link.prefix}notice/${topic}`
  const from = `${link.node}\n`
  const ears = new Map<string, { listeners: number; readonly stop: () => void }>()

  function tune(topic: string) {
    const stop = link.listen(channelOf(topic), (message) => {
      if (!message.startsWith(from)) local.tell(topic, message.slice(message.indexOf('\n') + 1))
    })
    const ear = { listeners: 0, stop }
    ears.set(topic, ear)
    return ear
  }

  return {
    tell(topic, text) {
      local.tell(topic, text)
      link.run((redis) => redis.publish(channelOf(topic), from + text)).catch(() => {})
    },
    listen(topic, heard) {
      const ear = ears.get(topic) ?? tune(topic)
      ear.listeners++
      const stop = local.listen(topic, heard)
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        stop()
        if (--ear.listeners > 0) return
        ears.delete(topic)
        ear.stop()
      }
    },
  }
}
