/** What bodies on their way to S3 hold in memory: all together one budget, whatever their number. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { createByteBudget } from '../../storage/drivers/s3/byte-budget.ts'
import { bodyOf, randomBytes } from '../contracts/storage-tools.ts'
import { startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn, mebibyte, uploadKey } from './s3-tools.ts'

const ignore = (): void => {}
const piece = randomBytes(mebibyte / 4)

/** A client that sends as fast as it is read from. */
function eager(size: number): Readable {
  let left = size / piece.length
  return new Readable({
    highWaterMark: piece.length,
    read() {
      this.push(left-- > 0 ? Buffer.from(piece) : null)
    },
  })
}

describe('memory of uploads to S3', () => {
  test('sixty large uploads at once stay within the budget, and all of them arrive', async () => {
    const server = await startFakeS3()
    const memoryBytes = 64 * mebibyte
    const driver = await driverOn(server, { memoryBytes })
    const size = 24 * mebibyte
    // What arrives is thrown away: here it would be memory of the same process.
    const appended = Array.from({ length: 60 }, async (_, n) => {
      const { stage } = await driver.append(await driver.begin(uploadKey(n)), eager(size), ignore)
      await driver.discard(stage)
      return stage.size
    })
    assert.deepEqual(new Set(await Promise.all(appended)), new Set([size]))
    assert.ok(driver.bucket.budget.peak <= memoryBytes, `${driver.bucket.budget.peak} bytes were held`)
    assert.equal(driver.bucket.budget.used, 0)
    await driver.close()
    await server.stop()
  })

  test('one large upload leaves room for others', async () => {
    const server = await startFakeS3()
    server.fail({ operation: 'UploadPart' }, { slowMs: 100 })
    const driver = await driverOn(server, { memoryBytes: 256 * mebibyte })
    const { stage } = await driver.append(await driver.begin(uploadKey()), eager(160 * mebibyte), ignore)
    assert.ok(driver.bucket.budget.peak <= 64 * mebibyte, `${driver.bucket.budget.peak} bytes were held`)
    await driver.discard(stage)
    await driver.close()
    await server.stop()
  })

  test('clients that stop in the middle of a part give way, and lose nothing', async () => {
    const server = await startFakeS3()
    const driver = await driverOn(server, { memoryBytes: 16 * mebibyte })
    const first = [randomBytes(1000), randomBytes(6 * mebibyte)]
    const stalled = first.map((bytes) => {
      const body = new Readable({ read() {} })
      body.push(Buffer.from(bytes))
      return body
    })
    const waiting = stalled.map((body, n) => driver.append({ key: uploadKey(n), size: 0 }, body, ignore))
    const { stage: passed } = await driver.append(await driver.begin(uploadKey(9)), eager(24 * mebibyte), ignore)
    assert.equal(passed.size, 24 * mebibyte)
    for (const body of stalled) {
      body.push(Buffer.from('the rest'))
      body.push(null)
    }
    for (const [n, { stage }] of (await Promise.all(waiting)).entries()) {
      await driver.harden(stage)
      await driver.seal(stage, blobKey(n))
      assert.ok(
        server.content(blobKey(n))?.equals(Buffer.concat([first[n] ?? Buffer.alloc(0), Buffer.from('the rest')])),
      )
    }
    assert.equal(driver.bucket.budget.used, 0)
    await driver.close()
    await server.stop()
  })

  test('a budget smaller than a part still lets one upload after the other through', async () => {
    const server = await startFakeS3()
    const driver = await driverOn(server, { memoryBytes: mebibyte })
    const appended = [1, 2, 3].map((n) =>
      driver.append({ key: uploadKey(n), size: 0 }, bodyOf(randomBytes(20 * mebibyte)), ignore),
    )
    for (const { stage } of await Promise.all(appended)) assert.equal(stage.size, 20 * mebibyte)
    await driver.close()
    await server.stop()
  })

  test('who waits for memory is served in turn', async () => {
    const budget = createByteBudget(10)
    const order: number[] = []
    const held = await budget.acquire(8)
    const waiting = [6, 1, 3].map((bytes) =>
      budget.acquire(bytes).then((grant) => {
        order.push(bytes)
        return grant
      }),
    )
    assert.equal(budget.tryAcquire(1), undefined)
    assert.ok(budget.isShort)
    held.shrink(4)
    await Promise.all(waiting.slice(0, 1))
    assert.equal(budget.used, 10)
    held.release()
    for (const grant of await Promise.all(waiting)) grant.release()
    assert.deepEqual([order, budget.used, budget.peak], [[6, 1, 3], 0, 10])
  })
})
