/** Workers that are killed in the middle of everything that clients do, and then their parent. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { nothing } from '../kill/history.ts'
import { askLinks, compareLinks } from '../kill/link-files.ts'
import { judge, tellViolation } from '../kill/register-checker.ts'
import { verify } from '../kill/verification.ts'
import { work } from '../kill/workload.ts'
import { createWorld, pick, type World } from '../kill/world.ts'
import type { BerthProcess } from '../support/berth-process.ts'
import { type Client, createClient } from '../support/client.ts'
import { isAlive, startWithWorkers, until, untilServing, workersOf } from './process.ts'

const kills = 30
const clients = 8
const workers = 4
const killsInRound = 2
const longestWorkMs = 250
const verifyEvery = 3

test('whatever worker is killed when, nothing acknowledged is lost, and the others go on', async (t) => {
  const root = await newRoot(t)
  const world = createWorld()
  const values = new Map<string, ReadonlySet<string>>()
  let berth = await startWithWorkers(workers, { root })
  t.after(() => berth.kill())
  for (let round = 0; round < kills / killsInRound && world.findings.length === 0; round++) {
    await workAndKill(world, berth, round)
    if (round % verifyEvery === 0) await verify(world, createClient(berth.url), false)
    if (world.findings.length > 0) world.history.close()
    judgeAll(world, values)
  }
  assert.deepEqual(world.findings, [], berth.output().slice(-3000))
  assert.ok(isAlive(berth.pid))
  const { figures } = world
  assert.ok(figures.acknowledged > 100 && figures.killedAtWork === kills, JSON.stringify(figures))
  assert.ok(figures.unanswered > 0, JSON.stringify(figures))

  const known = workersOf(berth)
  await berth.kill()
  await until('the end of all workers', () => !known.some(isAlive), 2000)
  berth = await startWithWorkers(workers, { root })
  expectFinished(world, values)
  await verify(world, createClient(berth.url), true)
  judgeAll(world, values)
  const asked = await askLinks(world, createClient(berth.url))
  await berth.stop()
  assert.deepEqual([...world.findings, ...(await compareLinks(root, asked))], [])
})

async function workAndKill(world: World, berth: BerthProcess, round: number): Promise<void> {
  // One of them goes on.
  await untilServing(createClient(berth.url), killsInRound + 1)
  const { client, stop } = stoppable(createClient(berth.url), berth.url)
  const working = Array.from({ length: clients }, (_, n) => work(world, client, `r${round}c${n}`))
  for (let n = 0; n < killsInRound; n++) {
    await sleep(50 + Math.random() * longestWorkMs)
    process.kill(pick(workersOf(berth)), 'SIGKILL')
    world.figures.killedAtWork++
  }
  await sleep(50)
  stop()
  await Promise.all(working)
  // Whoever got no answer asked the one that is dead, or nobody.
  world.history.close()
}

/** A closing request that a dead worker had begun may be finished by whoever starts next. */
function expectFinished(world: World, values: Map<string, ReadonlySet<string>>): void {
  for (const [register, { digest }] of world.blobs) {
    values.set(register, new Set([...(values.get(register) ?? [nothing]), digest]))
  }
}

/** Until `stop` each request goes out, afterwards none. A client that got no answer is gone for this round. */
function stoppable(client: Client, url: string): { client: Client; stop: () => void } {
  let isOver = false
  const stopped = createClient(url, (...asked) => {
    if (isOver) return Promise.reject(new Error('the round is over'))
    return client.send(...asked)
  })
  return {
    client: stopped,
    stop: () => {
      isOver = true
    },
  }
}

function judgeAll(world: World, values: Map<string, ReadonlySet<string>>): void {
  for (const [register, operations] of world.history.take()) {
    const verdict = judge(operations, values.get(register) ?? [nothing])
    values.set(register, verdict.values)
    if (verdict.violation) world.findings.push(tellViolation(register, verdict.violation))
  }
}

async function newRoot(t: TestContext): Promise<string> {
  const scratch = await mkdtemp(join(tmpdir(), 'berth-workers-'))
  t.after(() => rm(scratch, { recursive: true, force: true }))
  return join(scratch, 'root')
}
