/** A node in a process of its own that takes locks at random until its input ends, and writes down when it had them. */

import { now, takeAny } from './redis-history.ts'
import { openNode, steadyTimes } from './redis-nodes.ts'

const node = await openNode(JSON.parse(process.argv[2] ?? ''), { times: steadyTimes })
let isOver = false
process.stdin.on('end', () => {
  isOver = true
})
process.stdin.resume()
let holds = 0
const say = (...words: (string | number)[]) => process.stdout.write(`${words.join(' ')}\n`)

async function take(): Promise<void> {
  const id = ++holds
  await takeAny(
    node,
    (name, askedAt, from) => say('begun', id, name, askedAt, from),
    (_name, until) => say('ended', id, until),
  )
}

await Promise.all(
  Array.from({ length: 4 }, async () => {
    while (!isOver) await take()
  }),
)
say('left', now())
await node.close()
process.exit()
