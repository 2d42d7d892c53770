/** How many processes serve, and who waits for whose end. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartRefused } from '../../oci/failure.ts'
import { countWorkers } from '../../server/compose/workers.ts'
import type { Settings } from '../../server/config/settings.ts'
import { awaitEndOfWorkers, joinWorkers } from '../../storage/worker-lock.ts'
import { testSettings } from '../support/test-registry.ts'

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-workers-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const asked = (root: string, workers: Settings['http']['workers']): Settings => {
  const settings = testSettings(root)
  return { ...settings, http: { ...settings.http, workers } }
}

describe('without a number', () => {
  test('one process serves where there are no processors to spare, and never more than four', async (t) => {
    const settings = asked(await newFolder(t), 'auto')
    const counts = await Promise.all([1, 2, 3, 4, 5, 64].map((processors) => countWorkers(settings, processors)))
    assert.deepEqual(counts, [1, 1, 2, 3, 4, 4])
  })

  test('one process serves what is not on a local disk', async (t) => {
    const settings = asked(await newFolder(t), 'auto')
    const inMemory = { ...settings, storage: { ...settings.storage, driver: { name: 'inmemory' } as const } }
    assert.equal(await countWorkers(inMemory, 8), 1)
  })
})

test('a number is what it says, also before there is a folder', async (t) => {
  const root = join(await newFolder(t), 'not', 'yet', 'there')
  assert.equal(await countWorkers(asked(root, 7), 2), 7)
  assert.equal(await countWorkers(asked(root, 1), 8), 1)
})

describe('whoever takes a root', () => {
  test('waits for the workers of the last one, and no longer', async (t) => {
    const root = await newFolder(t)
    const [one, other] = [joinWorkers(root), joinWorkers(root)]
    let isAlone = false
    const waiting = awaitEndOfWorkers(root).then(() => {
      isAlone = true
    })
    one.release()
    await sleep(100)
    assert.equal(isAlone, false)
    other.release()
    await waiting
    joinWorkers(root).release()
  })

  test('is told where one of them does not end', async (t) => {
    const root = await newFolder(t)
    const lock = joinWorkers(root)
    await assert.rejects(awaitEndOfWorkers(root, 50), StartRefused)
    lock.release()
    await awaitEndOfWorkers(root, 0)
  })

  test('finds nobody where there never were any', async (t) => {
    await awaitEndOfWorkers(await newFolder(t), 0)
  })
})
