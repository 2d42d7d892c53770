import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { receive } from '../../storage/drivers/filesystem/receive.ts'
import { caseKey, randomBytes } from '../contracts/storage-tools.ts'
import { scratchFolder } from './tree.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const mebibyte = 1024 * 1024
const budget = 64 * mebibyte

/** A client that sends as fast as it is read from, and counts what left it. */
function eager(piece: Buffer, pieces: number): { readonly body: Readable; sent(): number } {
  let left = pieces
  const body = new Readable({
    highWaterMark: piece.length,
    read() {
      if (left === 0) this.push(null)
      else {
        left--
        this.push(Buffer.from(piece))
      }
    },
  })
  return { body, sent: () => (pieces - left) * piece.length }
}

test('uploads that arrive faster than the disk takes them wait instead of filling memory', async (t) => {
  const root = scratchFolder(t)
  const driver = new FilesystemDriver(root)
  const piece = randomBytes(256 * 1024)
  const uploads = Array.from({ length: 100 }, (_, n) => ({ key: caseKey(`_uploads/${n}/data`), ...eager(piece, 12) }))
  let inMemory = 0
  let arriving = uploads.length
  const appended = uploads.map(({ key, body }) =>
    driver.append({ key, size: 0 }, body, () => {}).finally(() => arriving--),
  )
  while (arriving > 0) {
    const sent = uploads.reduce((sum, { sent }) => sum + sent(), 0)
    const written = uploads.reduce((sum, { key }) => sum + (fs.statSync(join(root, key)).size ?? 0), 0)
    inMemory = Math.max(inMemory, sent - written)
    await new Promise(setImmediate)
  }
  const sizes = (await Promise.all(appended)).map(({ stage }) => stage.size)
  assert.deepEqual(new Set(sizes), new Set([12 * piece.length]))
  // What waits in each stream's own buffer, and a piece over each batch, come on top of the budget.
  assert.ok(inMemory <= budget + uploads.length * 4 * piece.length, `${inMemory} bytes were held`)
})

test('bytes that come alone are not kept alone, and stay in order among others', async (t) => {
  const driver = new FilesystemDriver(scratchFolder(t))
  const source = new Readable({ read() {} })
  const key = caseKey('_uploads/0/data')
  const appended = driver.append({ key, size: 0 }, source, () => {})
  const sent: number[] = []
  const small: WeakRef<Buffer>[] = []
  for (let n = 0; n < 3000; n++) {
    const piece = Buffer.alloc(n % 1000 === 0 ? 5000 : 1 + (n % 7), n)
    sent.push(...piece)
    if (piece.length < 10) small.push(new WeakRef(piece))
    source.push(piece)
    await turn()
  }
  collectGarbage()
  const kept = small.filter((piece) => piece.deref()).length
  assert.ok(kept < 100, `${kept} pieces are kept`)
  source.push(null)
  await appended
  assert.ok(fs.readFileSync(join(driver.root, key)).equals(Buffer.from(sent)))
})

test('an upload whose disk fails says so, and its source is read to its end', async (t) => {
  const path = join(scratchFolder(t), 'data')
  fs.writeFileSync(path, '')
  const readOnly = fs.openSync(path, 'r')
  t.after(() => fs.closeSync(readOnly))
  const { body } = eager(randomBytes(mebibyte), 8)
  await assert.rejects(
    receive(body, readOnly, 0, () => {}),
    { code: 'EBADF' },
  )
  await once(body, 'end')
  assert.equal(body.listenerCount('data'), 0)
})
