/** What a backup does with a folder that is not what it should be, and with one that fails. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openCopy, openTarget } from '../../server/compose/backup-target.ts'
import { lockRoot } from '../../storage/root-lock.ts'
import { NotBackedUp } from '../../upkeep/backup/backup.ts'
import { scratchFolder } from '../storage/tree.ts'
import { openBackedUp } from '../upkeep/backup-world.ts'
import { pushImage } from '../upkeep/collecting.ts'

const real = { openTarget, openCopy }

type Callback = (error: NodeJS.ErrnoException | null) => void

function failSyncs(t: TestContext) {
  const failed = Object.assign(new Error('ENOSPC: no space left on device, fdatasync'), { code: 'ENOSPC' })
  return t.mock.method(fs, 'fdatasync', (_fd: number, done: Callback) => void setImmediate(done, failed))
}

describe('a folder that a backup is written to', () => {
  test('and that cannot make its database durable fails the backup and nothing else; the next one completes it', async (t) => {
    const store = await openBackedUp(t)
    await pushImage(store.repository, 'v1')
    const openFailing = async (path: string) => {
      const copy = await openCopy(path)
      failSyncs(t)
      return copy
    }
    await assert.rejects(store.backUp({ openTarget, openCopy: openFailing }), (error) => {
      assert.ok(error instanceof NotBackedUp)
      assert.match(error.message, /cannot be made durable.*ENOSPC/)
      return true
    })
    t.mock.restoreAll()
    assert.equal(fs.existsSync(store.at('berth/store.json')), false)
    await store.backUp(real)
    assert.equal(fs.existsSync(store.at('berth/store.json')), true)
  })

  test('and that is gone while its database is merged fails the backup and nothing else', async (t) => {
    const folder = scratchFolder(t)
    const [here, elsewhere] = [join(folder, 'here'), join(folder, 'elsewhere')]
    fs.mkdirSync(here)
    const copy = await openCopy(join(here, 'berth.db'))
    fs.renameSync(here, elsewhere)
    fs.writeFileSync(here, 'in the way')
    const write = async () => {
      for (;;) {
        await copy.write((changed) => changed.store.set('a', 'b'), { durable: false })
        await delay(20)
      }
    }
    await assert.rejects(write(), NotBackedUp)
    const closed = copy.close().then(() => 'closed')
    assert.equal(await Promise.race([closed, delay(5000, 'hangs', { ref: false })]), 'closed')
  })

  test('stays as it is where it is refused', async (t) => {
    const store = await openBackedUp(t)
    fs.mkdirSync(store.target)
    fs.writeFileSync(store.at('thesis.txt'), 'mine')
    await assert.rejects(store.backUp(real), /is not empty/)
    assert.deepEqual(fs.readdirSync(store.target), ['thesis.txt'])
  })

  test('is refused while another Berth serves it', async (t) => {
    const store = await openBackedUp(t)
    await store.backUp(real)
    const lock = lockRoot(store.target)
    t.after(() => lock.release())
    await assert.rejects(store.backUp(real), (error) => error instanceof NotBackedUp && /served/.test(error.message))
  })
})
