// More power cuts than the tests try, and every sync left out by itself. From the project's folder:
//
//   node bin/node.js test/crash-model/run.ts [--seconds 600] [--seed N] [--tries 120] [--kills] [--every 1]
//
// It ends with what was missed, and with every rule that broke; the exit status is 1 where one did.

import fs from 'node:fs'
import { parseArgs } from 'node:util'
import { countCalls, killPoints, tryKill } from './kill-at-calls.ts'
import { record } from './record.ts'
import { removals, tableOf, tryWithout, type Verdict } from './removals.ts'
import { script } from './script.ts'
import { type Crashes, createChecker, type Finding, readCrashes, search, statesOf } from './search.ts'
import { fastScratch } from './tracing.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    tries: { type: 'string', default: '120' },
    every: { type: 'string', default: '1' },
    kills: { type: 'boolean', default: false },
  },
})
const scratch = fastScratch()
try {
  if (values.kills) await killEverywhere()
  else await cutPower()
} finally {
  fs.rmSync(scratch, { recursive: true, force: true })
}

async function cutPower(): Promise<void> {
  const crashes = readCrashes(await record(scratch, script()))
  const { calls, disk, moments, answers } = crashes
  console.log(
    `${calls.length} calls, ${disk.changes.length} changes, ${disk.syncs.length} syncs, ` +
      `${answers.length} answers, ${moments.length} moments`,
  )
  for (const { state, broken } of await explore(crashes)) {
    process.exitCode = 1
    console.log(`BROKEN after line ${state.at}, ${state.how}: ${broken.message}`)
  }
  const verdicts = await leaveOutEach(crashes)
  for (const line of tableOf(verdicts)) console.log(line)
}

/** The first of each rule that breaks. */
async function explore(crashes: Crashes): Promise<Finding[]> {
  const checker = createChecker(crashes, scratch, 4)
  const until = Date.now() + Number(values.seconds) * 1000
  const states = statesOf(crashes.disk, crashes.moments, Number(values.seed))
  const findings = await search(checker, states, () => Date.now() > until)
  console.log(`${checker.figures.checked} different states of ${checker.figures.tried}, seed ${values.seed}`)
  console.log(`${findings.length} of them broke a rule`)
  return [...new Map(findings.reverse().map((each) => [each.broken.rule, each])).values()]
}

async function leaveOutEach(crashes: Crashes): Promise<Verdict[]> {
  const checker = createChecker(crashes, scratch, Number.POSITIVE_INFINITY)
  const verdicts: Verdict[] = []
  for (const removal of removals(crashes)) {
    const verdict = await tryWithout(crashes, checker, removal, Number(values.tries))
    verdicts.push(verdict)
    const [sync] = removal.syncs
    const outcome = verdict.found?.broken.message ?? (removal.own.length > 0 ? 'not missed' : 'nothing to do')
    console.log(`#${sync?.index} ${removal.kind} ${sync?.path}: ${outcome}`)
  }
  return verdicts
}

async function killEverywhere(): Promise<void> {
  const points = killPoints(await countCalls(scratch), Number(values.every))
  for (const point of points) {
    const { killed, broken } = await tryKill(scratch, point)
    console.log(`${point.call} ${point.number}: ${broken?.message ?? (killed ? 'ok' : 'ok, not killed')}`)
    if (broken) process.exitCode = 1
  }
  console.log(`${points.length} kills`)
}
