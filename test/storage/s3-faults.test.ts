/** Every kind of request of a push and a pull goes wrong once, and then all of that kind do, in every way that there is. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import pLimit from 'p-limit'
import { isFailure } from '../../oci/failure.ts'
import type { Fault } from '../support/s3-fake/faults.ts'
import { startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { pulls, pushes, type Scenario } from './s3-scenarios.ts'
import { driverOn, mebibyte } from './s3-tools.ts'

const settings = { chunkSize: 5 * mebibyte, copyChunkSize: 8 * mebibyte, copyThreshold: 12 * mebibyte }

/** With what the client does not notice: then once is no other case than always. */
const faults: readonly (readonly [Fault, { readonly isHarmless: boolean }])[] = [
  ['reset before', { isHarmless: false }],
  ['reset after', { isHarmless: false }],
  ['internal error', { isHarmless: false }],
  ['slow down', { isHarmless: false }],
  ['truncated', { isHarmless: false }],
  ['error in 200', { isHarmless: false }],
  ['duplicate', { isHarmless: true }],
  [{ slowMs: 100 }, { isHarmless: true }],
]

/** Most of the time is spent waiting before another try; but each has its store in memory. */
const atOnce = pLimit(8)

/** Only what takes long is answered before it is done. */
const takesLong = ['CopyObject', 'UploadPartCopy', 'CompleteMultipartUpload']

interface Plan {
  readonly operation: string
  /** Which of them; all where it is absent. */
  readonly nth?: number
  readonly fault: Fault
}

interface Outcome {
  /** Why steps failed before the store was well again. */
  readonly failures: readonly unknown[]
  /** Requests by operation, until the store was well again. */
  readonly tried: ReadonlyMap<string, number>
  /** Keys of uploads that nobody will end. */
  readonly orphans: readonly string[]
}

/** The scenario on a store of its own, which is well from the first step on that failed. */
async function perform(scenario: Scenario, plan?: Plan): Promise<Outcome> {
  const fake = await startFakeS3()
  const driver = await driverOn(fake, settings)
  const failures: unknown[] = []
  const tried = new Map<string, number>()
  const count = () => {
    if (tried.size > 0) return
    for (const { operation } of fake.requests) tried.set(operation, (tried.get(operation) ?? 0) + 1)
  }
  if (plan) fake.fail(plan, plan.fault)
  try {
    await scenario.perform({
      driver,
      content: fake.content,
      place: fake.place,
      async step(work) {
        try {
          return await work()
        } catch (error) {
          failures.push(error)
          count()
          fake.heal()
          return await work()
        }
      },
    })
    count()
    return { failures, tried, orphans: fake.uploads() }
  } finally {
    await driver.close()
    await fake.stop()
  }
}

/** Four tries of each request. A read that breaks off is gone on with, and a delete is part of two steps. */
const mostTries = (operation: string): number => ({ GetObject: 28, DeleteObject: 8 })[operation] ?? 4

function assertBearable(plan: Plan, outcome: Outcome, healthy: Outcome): void {
  for (const failure of outcome.failures) {
    const told = failure instanceof Error ? failure.stack : String(failure)
    assert.ok(isFailure(failure, 'unavailable'), `not what a client is told of a store that is away: ${told}`)
  }
  if (plan.nth !== undefined) assert.deepEqual(outcome.failures, [], 'once is no reason to fail')
  const [tried = 0, needed = 0] = [outcome.tried.get(plan.operation), healthy.tried.get(plan.operation)]
  assert.ok(tried <= needed * mostTries(plan.operation), `asked ${tried} times in place of ${needed}`)
  // An upload whose beginning was not heard of is known to nobody: `sweep` finds it.
  if (plan.operation !== 'CreateMultipartUpload') assert.deepEqual(outcome.orphans, [])
  assert.ok(outcome.orphans.length <= mostTries(plan.operation))
}

async function tryEverywhere(scenario: Scenario, healthy: Outcome, fault: Fault, isHarmless: boolean): Promise<void> {
  const operations = scenario.asks.filter((name) => fault !== 'error in 200' || takesLong.includes(name))
  const plans = operations.flatMap((operation): Plan[] => [
    ...(isHarmless ? [] : [{ operation, nth: 1, fault }]),
    { operation, fault },
  ])
  await Promise.all(plans.map((plan) => atOnce(() => tryOne(scenario, healthy, plan))))
}

async function tryOne(scenario: Scenario, healthy: Outcome, plan: Plan): Promise<void> {
  try {
    assertBearable(plan, await perform(scenario, plan), healthy)
  } catch (error) {
    const often = plan.nth === undefined ? 'always' : 'once'
    throw new Error(`${plan.operation}, ${often}: ${(error as Error).message}`, { cause: error })
  }
}

const faultsOf = ({ asks }: Scenario) =>
  faults.filter(([fault]) => fault !== 'error in 200' || asks.some((name) => takesLong.includes(name)))

function faultTable(scenarios: Readonly<Record<string, Scenario>>): void {
  for (const [title, scenario] of Object.entries(scenarios)) {
    test(title, { concurrency: true }, async (t) => {
      const healthy = await perform(scenario)
      assert.deepEqual([healthy.failures, healthy.orphans], [[], []])
      for (const operation of scenario.asks) assert.ok(healthy.tried.has(operation), `${operation} is not asked`)
      const tests = faultsOf(scenario).map(([fault, { isHarmless }]) => {
        const name = typeof fault === 'string' ? fault : 'slow'
        return t.test(name, () => tryEverywhere(scenario, healthy, fault, isHarmless))
      })
      await Promise.all(tests)
    })
  }
}

describe('a push', { concurrency: true }, () => faultTable(pushes))
describe('a pull', { concurrency: true }, () => faultTable(pulls))
