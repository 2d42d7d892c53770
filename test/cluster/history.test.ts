import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Cluster, startCluster } from './cluster.ts'
import { historyEnv, runHistory } from './history.ts'
import { lies } from './lies.ts'
import { needsCluster } from './services.ts'

describe('clients of a cluster', needsCluster(), () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ withGate: true, env: historyEnv })
  })
  after(() => cluster?.stop())

  test('are told the truth while nodes, Redis, PostgreSQL and S3 break', async (t) => {
    const { findings, figures, faults, failures, uploads } = await runHistory(cluster, {
      workMs: 15_000,
      withFaults: true,
    })
    t.diagnostic(JSON.stringify({ operations: figures.operations, unanswered: figures.unanswered, uploads, failures }))
    t.diagnostic(JSON.stringify(faults))
    assert.deepEqual(findings, [])
    assert.ok(figures.acknowledged > 0 && Object.keys(faults).length > 5)
  })

  for (const [name, lie] of Object.entries(lies)) {
    test(`find out a registry that ${name}`, async (t) => {
      const { findings, figures } = await runHistory(cluster, { workMs: 3000, rounds: 10, lie })
      t.diagnostic(`in round ${figures.rounds}, after ${figures.operations} requests`)
      assert.match(findings.join('\n'), /no order of requests explains/)
    })
  }
})
