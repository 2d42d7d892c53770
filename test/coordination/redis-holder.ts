/** A node in a process of its own: takes a lock, or flies, and says in lines what becomes of it. Ends with its input. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Taking } from '../../coordination/locks.ts'
import type { RedisSettings } from '../../coordination/redis/client.ts'
import { openNode } from './redis-nodes.ts'

export interface HolderTask {
  readonly settings: RedisSettings
  readonly name: string
  readonly taking?: Taking
  readonly flies?: true
}

const { settings, name, taking = { when: 'wait' }, flies } = JSON.parse(process.argv[2] ?? '') as HolderTask
const say = (line: string) => process.stdout.write(`${line}\n`)
const ended = new Promise((resolve) => process.stdin.on('end', resolve).resume())
const node = await openNode(settings)

async function work(asked?: AbortSignal): Promise<void> {
  say('held')
  asked?.addEventListener('abort', () => say('asked'))
  await ended
}

const outcome = flies ? node.singleFlight.once(name, work) : node.locks.hold(name, taking, work)
await Promise.race([outcome, ended.then(() => sleep(5_000))])
await node.close()
