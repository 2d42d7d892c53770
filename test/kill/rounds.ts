// Kills a registry for as many rounds as wanted, and says what was found.
//
//   node bin/node.js test/kill/rounds.ts --rounds 200
//   node bin/node.js test/kill/rounds.ts --rounds 50 --tree ../another/checkout
//   node bin/node.js test/kill/rounds.ts --collect         with collections in between

import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'
import { collect, withoutGrace } from './collector.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '200' }, tree: { type: 'string' }, collect: { type: 'boolean' } },
})
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a whole number, not ${values.rounds}`)

const began = performance.now()
const { figures, findings, root } = await runCampaign({
  rounds,
  ...(values.tree !== undefined && { tree: resolve(values.tree) }),
  ...(values.collect && { collect, env: withoutGrace }),
  onRound: (now) => {
    if (now.rounds % 10 === 0) console.log(JSON.stringify(now))
  },
})
console.log(JSON.stringify({ ...figures, seconds: Math.round((performance.now() - began) / 1000) }, undefined, 2))
for (const finding of findings) console.log(`\nFOUND ${finding}`)
console.log(`\n${findings.length === 0 ? 'nothing was found' : `something is wrong; its folder is ${root}`}`)
process.exitCode = findings.length === 0 ? 0 : 1
