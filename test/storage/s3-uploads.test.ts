/** Uploads in many requests on many nodes, writers that do not know that they lost, and a store that fails. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Digest } from '../../oci/digest.ts'
import { isFailure } from '../../oci/failure.ts'
import type { Arrival, Stage } from '../../storage/driver.ts'
import { sweep } from '../../storage/drivers/s3/finish.ts'
import { create, uploadPart } from '../../storage/drivers/s3/multipart.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import { partsIn, runsOf, stateOf } from '../../storage/drivers/s3/stage.ts'
import { layout } from '../../storage/layout.ts'
import { bodyOf, brokenBody, caseKey, randomBytes } from '../contracts/storage-tools.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn, mebibyte, uploadKey, written } from './s3-tools.ts'

const ignore = (): void => {}
const chunkSize = 5 * mebibyte

describe('uploads to S3', () => {
  let server: FakeS3
  let driver: S3Driver
  let other: S3Driver
  beforeEach(async () => {
    server = await startFakeS3()
    driver = await driverOn(server, { chunkSize })
    other = await driverOn(server, { chunkSize })
  })
  afterEach(async () => {
    await Promise.all([driver.close(), other.close()])
    await server.stop()
  })

  const append = async (node: S3Driver, stage: Stage, content: Buffer, arrival: Arrival = {}): Promise<Stage> => {
    const { stage: grown, broken } = await node.append(stage, bodyOf(content), ignore, arrival)
    assert.equal(broken, undefined)
    return written(grown)
  }
  const contentOf = async (node: S3Driver, stage: Stage): Promise<Buffer | undefined> => {
    await node.harden(stage)
    return server.content(await node.seal(stage, blobKey()))
  }
  const left = (): string[] => [...server.keys(), ...server.uploads()].filter((key) => key.startsWith(uploadKey()))

  test('chunks of any size, sent to one node and then another, become one object and leave nothing', async () => {
    for (const sizes of [
      [6, 6, 6, 0.5],
      [0.1, 12, 3, 2.5, 9],
      [11, 1, 1, 1, 1, 1, 1],
      [4.9, 4.9, 4.9, 4.9],
      [5, 5, 5],
      [30, 0.001],
    ]) {
      const contents = sizes.map((size) => randomBytes(Math.round(size * mebibyte)))
      let stage = await driver.begin(uploadKey())
      for (const [n, content] of contents.entries()) stage = await append(n % 2 ? other : driver, stage, content)
      assert.ok((await contentOf(driver, stage))?.equals(Buffer.concat(contents)), sizes.join(' + '))
      assert.deepEqual(left(), [], sizes.join(' + '))
    }
  })

  test('two nodes that go on with the same upload at once do not mix their bytes', async () => {
    for (let round = 0; round < 6; round++) {
      const first = randomBytes(12 * mebibyte)
      const recorded = await append(driver, await driver.begin(uploadKey(round)), first)
      const [mine, theirs] = [randomBytes(11 * mebibyte + round), randomBytes(11 * mebibyte + round)]
      const [winner, zombie] = await Promise.all([append(driver, recorded, mine), append(other, recorded, theirs)])
      const [stage, second] = round % 2 ? [zombie, theirs] : [winner, mine]
      const content = await contentOf(driver, stage).catch((error: Error) => error.message)
      if (typeof content === 'string') assert.match(content, /another writer replaced a part/)
      else assert.ok(content?.equals(Buffer.concat([first, second])))
    }
  })

  test('two nodes that begin the same upload at once do not mix their bytes', async () => {
    const begun = await driver.begin(uploadKey())
    const [mine, theirs] = [randomBytes(11 * mebibyte), randomBytes(11 * mebibyte)]
    const [winner] = await Promise.all([append(driver, begun, mine), append(other, begun, theirs)])
    assert.ok((await contentOf(other, winner))?.equals(mine))
    await driver.discard(winner)
    assert.deepEqual(left(), [])
  })

  test('a part that another writer replaced makes the upload fail', async () => {
    const stage = await append(driver, await driver.begin(uploadKey()), randomBytes(12 * mebibyte))
    const { id, runs } = stateOf(stage).multipart ?? assert.fail('no parts')
    const { number } = partsIn(runs).at(-1) ?? assert.fail('no part')
    await uploadPart(other.bucket, { key: stage.key, id }, number, randomBytes(7 * mebibyte))
    await assert.rejects(driver.harden(stage), /another writer replaced a part/)
  })

  test('bytes that were placed are never removed with their upload', async () => {
    const content = randomBytes(1000)
    const placed = await append(driver, await driver.begin(uploadKey()), content, { place: async () => blobKey() })
    await driver.discard(placed)
    assert.ok(server.content(blobKey())?.equals(content))
  })

  test('bytes that were placed are the beginning of what follows', async () => {
    const [first, second] = [randomBytes(1000), randomBytes(14 * mebibyte)]
    const placed = await append(driver, await driver.begin(uploadKey()), first, { place: async () => blobKey('first') })
    const stage = await append(other, placed, second)
    assert.ok((await contentOf(driver, stage))?.equals(Buffer.concat([first, second])))
    assert.ok(server.content(blobKey('first'))?.equals(first))
    assert.deepEqual(left(), [])
  })

  test('a place is asked for once, after the end, and not where the source broke or other bytes came before', async () => {
    let asked = 0
    const arrival: Arrival = { place: async () => void asked++ }
    const broken = brokenBody(new Error('reset'), randomBytes(10))
    const { stage } = await driver.append(await driver.begin(uploadKey()), broken, ignore, arrival)
    await append(driver, stage, randomBytes(10), arrival)
    assert.equal(asked, 0)
    await append(driver, await driver.begin(uploadKey(2)), randomBytes(10), arrival)
    assert.equal(asked, 1)
    await append(driver, await driver.begin(uploadKey(3)), randomBytes(20 * mebibyte), arrival)
    assert.equal(asked, 1)
  })

  test('nothing is seen under the final key before the upload is sealed', async () => {
    const stage = await append(driver, await driver.begin(uploadKey()), randomBytes(12 * mebibyte), {
      destination: blobKey(),
    })
    await driver.harden(stage)
    assert.equal(await other.stat(blobKey()), undefined)
    assert.equal(await other.seal(stage, blobKey()), blobKey())
    assert.equal((await other.stat(blobKey()))?.size, 12 * mebibyte)
    assert.equal(await other.seal(stage, blobKey()), blobKey())
  })

  test('an upload to its final key that breaks must be sent again, and leaves nothing there', async () => {
    const body = brokenBody(new Error('reset'), randomBytes(12 * mebibyte))
    const kept: Stage[] = []
    const begun = await driver.begin(uploadKey())
    const { stage, broken } = await driver.append(begun, body, ignore, {
      destination: blobKey(),
      kept: async (stage) => void kept.push(stage),
    })
    assert.match(String(broken), /reset/)
    assert.equal(stage.size, 0)
    assert.deepEqual(server.uploads(), [])
    assert.equal(kept.length, 1)
  })

  test('an upload to its final key whose node died is aborted with the upload', async () => {
    let recorded: Stage | undefined
    const body = new Readable({ read() {} })
    const appending = driver.append(await driver.begin(uploadKey()), body, ignore, {
      destination: blobKey(),
      kept: async (stage) => {
        recorded = written(stage)
      },
    })
    body.push(randomBytes(11 * mebibyte))
    while (!recorded) await new Promise(setImmediate)
    assert.deepEqual(server.uploads(), [blobKey()])
    await other.discard(recorded)
    assert.deepEqual(server.uploads(), [])
    body.destroy()
    await appending
  })

  test('what was kept while a node died is gone on with by another', async () => {
    let kept: Stage | undefined
    const content = randomBytes(80 * mebibyte)
    const body = new Readable({ read() {} })
    const appending = driver.append(await driver.begin(uploadKey()), body, ignore, {
      kept: async (stage) => {
        kept ??= written(stage)
      },
    })
    for (let at = 0; at < content.length && !kept; at += mebibyte) {
      body.push(Buffer.from(content.subarray(at, at + mebibyte)))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    while (!kept) await new Promise(setImmediate)
    assert.ok(kept.size >= 64 * mebibyte)
    // What it still does when it dies is recorded nowhere.
    body.destroy()
    await appending
    const stage = await append(other, kept, content.subarray(kept.size))
    await other.harden(stage)
    assert.ok(server.content(await other.seal(stage, blobKey()))?.equals(content))
  })

  test('what was completed can be read back, appended to, and completed again', async () => {
    const [first, second] = [randomBytes(12 * mebibyte), randomBytes(3000)]
    const stage = await append(driver, await driver.begin(uploadKey()), first)
    const seen: Buffer[] = []
    await other.reread(stage, (piece) => void seen.push(Buffer.from(piece)))
    assert.ok(Buffer.concat(seen).equals(first))
    await driver.harden(stage)
    await other.harden(stage)
    const whole = await append(other, stage, second)
    assert.ok((await contentOf(driver, whole))?.equals(Buffer.concat([first, second])))
    assert.deepEqual(left(), [])
  })

  test('hardening and sealing go through although every answer is lost once', async () => {
    const content = randomBytes(12 * mebibyte + 7)
    const stage = await append(driver, await driver.begin(uploadKey()), content.subarray(0, 12 * mebibyte))
    const whole = await append(driver, stage, content.subarray(12 * mebibyte))
    for (const operation of ['CompleteMultipartUpload', 'UploadPartCopy', 'CopyObject', 'DeleteObject']) {
      server.fail({ operation, nth: 1 }, 'reset after')
    }
    assert.ok((await contentOf(driver, whole))?.equals(content))
    assert.deepEqual(left(), [])
  })

  test('an error in an answer that began well is an error, and is tried again', async () => {
    server.fail({ operation: 'CompleteMultipartUpload', nth: 1 }, 'error in 200')
    const content = randomBytes(12 * mebibyte)
    const stage = await append(driver, await driver.begin(uploadKey()), content)
    assert.ok((await contentOf(driver, stage))?.equals(content))
  })

  test('a store that fails every time fails the upload, whose client is told to come again', async () => {
    for (const fault of ['internal error', 'slow down', 'reset before'] as const) {
      const operations = ['PutObject', 'UploadPart']
      for (const operation of operations) server.fail({ operation }, fault)
      for (const size of [1000, 12 * mebibyte]) {
        const body = bodyOf(randomBytes(size))
        const appended = driver.append(await driver.begin(uploadKey()), body, ignore)
        await assert.rejects(appended, (error) => isFailure(error, 'unavailable'))
      }
      server.heal()
      assert.deepEqual(left(), [])
      assert.equal(driver.bucket.budget.used, 0)
    }
  })

  test('parts that fail once are sent again with the same bytes', async () => {
    const content = randomBytes(31 * mebibyte)
    for (const nth of [1, 3])
      server.fail({ operation: 'UploadPart', nth }, nth === 1 ? 'internal error' : 'reset after')
    const stage = await append(driver, await driver.begin(uploadKey()), content)
    assert.ok((await contentOf(driver, stage))?.equals(content))
  })

  test('inspecting finds out that the store gave an upload up', async () => {
    const stage = await append(driver, await driver.begin(uploadKey()), randomBytes(12 * mebibyte))
    assert.equal((await other.inspect(stage)).size, stage.size)
    await driver.harden(stage)
    assert.equal((await other.inspect(stage)).size, stage.size)
    const lost = await append(driver, await driver.begin(uploadKey(2)), randomBytes(12 * mebibyte))
    await driver.discard(lost)
    assert.equal((await other.inspect(lost)).size, 0)
  })

  test('everything that was staged is told once for each upload, and can be discarded by who knows nothing more', async () => {
    await append(driver, await driver.begin(uploadKey(1)), randomBytes(10))
    const chunked = await append(driver, await driver.begin(uploadKey(2)), randomBytes(12 * mebibyte))
    await append(driver, chunked, randomBytes(10))
    await driver.harden(await append(driver, await driver.begin(uploadKey(3)), randomBytes(12 * mebibyte)))
    const found: Stage[] = []
    for await (const { stage, modifiedAt } of other.staged(caseKey('uploads'))) {
      found.push(stage)
      assert.ok(Math.abs(Date.now() - modifiedAt) < 60_000)
    }
    assert.deepEqual(found.map(({ key }) => key).sort(), [1, 2, 3].map(uploadKey))
    for (const stage of found) await other.discard(stage)
    assert.deepEqual([...server.keys(), ...server.uploads()], [])
  })

  test('uploads to final keys that nobody remembers are swept away after a week', async () => {
    const [abandoned, elsewhere] = [layout.blob(`sha256:${'a'.repeat(64)}` as Digest), blobKey()]
    for (const key of [abandoned, elsewhere]) await create(driver.bucket, key)
    await driver.sweep()
    assert.deepEqual([...server.uploads()].sort(), [abandoned, elsewhere].sort())
    await sweep(driver.bucket, layout.blobs, Date.now() + 8 * 24 * 3_600_000)
    assert.deepEqual(server.uploads(), [elsewhere])
  })

  test('the state of ten thousand parts is little longer than their tags', () => {
    const etag = (n: number): string => `"${n.toString(16).padStart(32, '0')}"`
    const parts = Array.from({ length: 10_000 }, (_, n) => ({ number: n + 1, size: chunkSize, etag: etag(n) }))
    const text = JSON.stringify(runsOf(parts))
    assert.ok(text.length < 240_000, `${text.length}`)
    assert.deepEqual(partsIn(JSON.parse(text)), parts)
  })
})
