/** What each operation costs in requests: every one of them is paid for, and waited for. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Arrival, ObjectKey, Stage } from '../../storage/driver.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import { bodyOf, collector, randomBytes, readBack } from '../contracts/storage-tools.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn, mebibyte, uploadKey, written } from './s3-tools.ts'

const ignore = (): void => {}

describe('requests to S3', () => {
  let server: FakeS3
  let driver: S3Driver
  before(async () => {
    server = await startFakeS3()
    driver = await driverOn(server)
  })
  after(async () => {
    await driver.close()
    await server.stop()
  })
  beforeEach(() => server.forget())

  const asked = (): string[] => server.requests.map(({ operation }) => operation)
  const upload = async (size: number, arrival: Arrival, key: ObjectKey): Promise<Buffer> => {
    const content = randomBytes(size)
    const { stage } = await driver.append(await driver.begin(uploadKey()), bodyOf(content), ignore, arrival)
    await driver.harden(written(stage))
    assert.equal(await driver.seal(written(stage), key), key)
    return content
  }

  test('a layer of one part that docker pushes is one PUT, and a look at it before it is acknowledged', async () => {
    for (const size of [1, 300_000, 8 * mebibyte, 12 * mebibyte]) {
      server.forget()
      const content = await upload(size, { place: async () => blobKey() }, blobKey())
      assert.deepEqual(asked(), ['PutObject', 'HeadObject'], `${size} bytes`)
      assert.ok(server.content(blobKey())?.equals(content))
    }
  })

  test('a layer of one part whose digest comes with it is one PUT, and a look at it as well', async () => {
    const content = await upload(3 * mebibyte, { destination: blobKey(), place: async () => blobKey() }, blobKey())
    assert.deepEqual(asked(), ['PutObject', 'HeadObject'])
    assert.ok(server.content(blobKey())?.equals(content))
  })

  test('a layer of many parts whose digest comes with it is begun, uploaded and completed where it belongs', async () => {
    const content = await upload(44 * mebibyte, { destination: blobKey(2) }, blobKey(2))
    assert.deepEqual(asked(), ['CreateMultipartUpload', ...Array(5).fill('UploadPart'), 'CompleteMultipartUpload'])
    assert.ok(server.content(blobKey(2))?.equals(content))
    assert.deepEqual(server.uploads(), [])
  })

  test('a layer of many parts that docker pushes is completed where it arrived, and stays there when it is large', async () => {
    const content = randomBytes(70 * mebibyte)
    const { stage } = await driver.append(await driver.begin(uploadKey()), bodyOf(content), ignore)
    await driver.harden(stage)
    assert.equal(await driver.seal(stage, blobKey(3)), uploadKey())
    assert.deepEqual(asked(), ['CreateMultipartUpload', ...Array(9).fill('UploadPart'), 'CompleteMultipartUpload'])
    server.forget()
    await driver.copy(uploadKey(), blobKey(3))
    assert.deepEqual(asked().sort(), [
      ...['CompleteMultipartUpload', 'CreateMultipartUpload', 'HeadObject'],
      ...Array(2).fill('UploadPartCopy'),
    ])
    assert.ok(server.content(blobKey(3))?.equals(content))
    await driver.delete(uploadKey())
  })

  test('a layer of many parts that docker pushes is moved in two more requests when it is small', async () => {
    const content = await upload(20 * mebibyte, {}, blobKey(4))
    assert.deepEqual(asked(), [
      ...['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload'],
      ...['CopyObject', 'DeleteObject'],
    ])
    assert.ok(server.content(blobKey(4))?.equals(content))
    assert.equal(server.content(uploadKey()), undefined)
  })

  test('stat, write and delete are one request each', async () => {
    await driver.write(blobKey('small'), Buffer.from('x'))
    await driver.stat(blobKey('small'))
    await driver.delete(blobKey('small'))
    await driver.delete(blobKey('small'))
    await driver.stat(blobKey('small'))
    await driver.probe()
    assert.deepEqual(asked(), ['PutObject', 'HeadObject', 'DeleteObject', 'DeleteObject', 'HeadObject', 'PutObject'])
  })

  test('an object is opened and sent in one request, and a range of it in one more', async () => {
    const content = randomBytes(100_000)
    await driver.write(blobKey('sent'), content)
    server.forget()
    const object = await driver.open(blobKey('sent'))
    const [whole, part] = [collector(), collector()]
    await object?.send(whole.sink)
    assert.deepEqual(asked(), ['GetObject'])
    assert.ok(whole.bytes().equals(content))
    await object?.send(part.sink, { start: 10, end: 19 })
    assert.deepEqual(asked(), ['GetObject', 'GetObject'])
    assert.ok(part.bytes().equals(content.subarray(10, 20)))
    await object?.close()
  })

  test('reading a small object is one request', async () => {
    await driver.write(blobKey('read'), Buffer.from('content'))
    server.forget()
    assert.equal(String(await readBack(driver, blobKey('read'))), 'content')
    assert.deepEqual(asked(), ['GetObject'])
  })

  test('lists come in pages of a thousand', async () => {
    for (let n = 0; n < 2100; n++) server.place(`case/many/${n}/data`, Buffer.from('x'))
    const count = async (items: AsyncIterable<unknown>): Promise<[number, number]> => {
      server.forget()
      let found = 0
      for await (const _ of items) found++
      return [found, asked().length]
    }
    assert.deepEqual(await count(driver.list('case/many' as ObjectKey)), [2100, 3])
    assert.deepEqual(await count(driver.children('case/many' as ObjectKey)), [2100, 3])
  })

  test('small chunks become one object, each kept durably and read back once', async () => {
    const chunks = [randomBytes(1000), randomBytes(2000), randomBytes(3000)]
    let stage: Stage = await driver.begin(uploadKey('chunks'))
    for (const chunk of chunks) stage = written((await driver.append(stage, bodyOf(chunk), ignore)).stage)
    assert.deepEqual(asked(), [
      ...['PutObject', 'GetObject', 'PutObject'],
      // What the step before replaced is deleted once it is sure that nobody needs it.
      ...['DeleteObject', 'GetObject', 'PutObject'],
    ])
    await driver.harden(stage)
    assert.equal(await driver.seal(stage, blobKey('chunks')), blobKey('chunks'))
    assert.ok(server.content(blobKey('chunks'))?.equals(Buffer.concat(chunks)))
    assert.deepEqual(
      server.keys().filter((key) => key.startsWith(uploadKey('chunks'))),
      [],
    )
  })
})
