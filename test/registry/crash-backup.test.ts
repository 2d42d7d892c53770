import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { tagOf } from '../contracts/facts-tools.ts'
import { pushImage } from '../contracts/push.ts'
import { filesUnder } from '../storage/tree.ts'
import { openBackedUp } from '../upkeep/backup-world.ts'
import { type Fault, faultyDriver } from './faulty-driver.ts'

/** A database is opened several times for each: every call would take minutes. */
const tried = 8
const faults: readonly (readonly [Fault, string])[] = [
  ['refused', 'ENOSPC'],
  ['dead', 'EIO'],
]

test('a backup during which a disk fails is not taken for one, and the next run completes it', async (t) => {
  const store = await openBackedUp(t)
  for (const tag of ['one', 'two', 'gone']) await pushImage(store.repository, tag)
  await store.repository.manifests.delete({ tag: tagOf('gone') })
  await store.settle()
  const faulty = faultyDriver(new MemoryDriver())
  const changes = {
    driver: faulty.also(store.driver),
    openTarget: async (folder: string) => faulty.also(new FilesystemDriver(folder)),
  }
  const copies = (folder: string) => filesUnder(folder).filter((path) => !path.includes('berth.db'))
  await store.backUp(changes)
  const { length } = faulty.calls
  const whole = copies(store.target)
  let cases = 0
  for (const [at, [fault, code]] of faults.entries()) {
    for (let n = 1 + at; n <= length; n += Math.ceil(length / tried)) {
      const folder = `${store.target}-${fault}-${n}`
      t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
      faulty.arm(n, fault, code)
      const [outcome] = await Promise.allSettled([store.backUp(changes, folder)])
      const called = faulty.calls[n - 1]
      const { struck } = faulty
      faulty.disarm()
      if (!struck) continue
      const isFinished = fs.existsSync(`${folder}/berth/store.json`)
      assert.equal(isFinished, outcome?.status === 'fulfilled', `${called} (${n})`)
      await store.backUp(changes, folder)
      assert.deepEqual(copies(folder), whole, `${called} (${n})`)
      cases++
    }
  }
  t.diagnostic(`${cases} cases of ${length} calls`)
  assert.deepEqual((await store.verify({ fresh: true })).findings, [])
})
