/** A registry that may open only so many files and connections. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { startBerth } from '../support/berth-process.ts'
import { createClient } from '../support/client.ts'
import { needs, tool } from '../support/tools.ts'
import { isPushed, isWhole, noneIsTorn, tryPush } from './clients.ts'

const descriptors = 128
const mebibyte = 2 ** 20

/** What it was answered: a status, or how the connection ended. */
async function outcomeOf(work: () => Promise<number>): Promise<string> {
  try {
    return String(await work())
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

test(
  'a registry that runs out of descriptors makes clients wait or try again, and goes on',
  needs('prlimit'),
  async (t) => {
    const berth = await startBerth()
    t.after(() => berth.stop())
    const client = createClient(berth.url)
    const before = await tryPush(client, 'before', 2 * mebibyte)
    assert.ok(isPushed(before))
    execFileSync(tool('prlimit'), ['--pid', String(berth.pid), `--nofile=${descriptors}:${descriptors}`])
    const pushed: Parameters<typeof isWhole>[1][] = []
    const push = async (n: number) => {
      const outcome = await tryPush(client, `v${n}`, 100_000)
      if (!isPushed(outcome)) return outcome.status
      pushed.push(outcome)
      return 201
    }
    const pull = async () => {
      const { status, bytes } = await client.getBlob('team/app', before.built.blobs[1]?.digest ?? '')
      if (status === 200) assert.equal(bytes.length, 2 * mebibyte)
      return status
    }
    const works = Array.from({ length: 300 }, (_, n) => outcomeOf(() => (n % 3 === 0 ? push(n) : pull())))
    const counts: Record<string, number> = {}
    for (const outcome of await Promise.all(works)) counts[outcome] = (counts[outcome] ?? 0) + 1
    t.diagnostic(JSON.stringify(counts))
    const allowed = ['200', '201', '503', 'ECONNRESET']
    assert.ok(pushed.length < 100, 'none had to try again')
    assert.deepEqual(
      Object.keys(counts).filter((each) => !allowed.includes(each)),
      [],
      berth.output().slice(0, 5000),
    )
    for (const image of [before, ...pushed]) await isWhole(client, image)
    const after = await tryPush(client, 'after', mebibyte)
    assert.ok(isPushed(after))
    noneIsTorn(berth.root)
  },
)
