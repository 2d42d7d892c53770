/** Objects on their way to clients while the store, the line or the client gives way. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Agent } from 'node:http'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { NodeHttpHandler } from '@smithy/node-http-handler'
import { isFailure } from '../../oci/failure.ts'
import type { S3Driver } from '../../storage/drivers/s3/s3-driver.ts'
import { bodyOf, collector, randomBytes, severalTurns, stuckSink } from '../contracts/storage-tools.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { blobKey, driverOn, mebibyte, uploadKey } from './s3-tools.ts'

describe('objects sent from S3', () => {
  let server: FakeS3
  let driver: S3Driver
  beforeEach(async () => {
    server = await startFakeS3()
    driver = await driverOn(server)
  })
  afterEach(async () => {
    await driver.close()
    await server.stop()
  })

  test('a stream that breaks is gone on with where it broke', async () => {
    const content = randomBytes(3 * mebibyte)
    server.place(blobKey(), content)
    for (const nth of [1, 2, 3]) server.fail({ operation: 'GetObject', nth }, 'truncated')
    const object = await driver.open(blobKey())
    const { sink, bytes } = collector()
    await object?.send(sink)
    assert.ok(bytes().equals(content))
    assert.equal(server.count({ operation: 'GetObject' }), 4)
  })

  test('a range whose stream breaks is gone on with', async () => {
    const content = randomBytes(3 * mebibyte)
    server.place(blobKey(), content)
    const object = await driver.open(blobKey())
    server.fail({ operation: 'GetObject', nth: 1 }, 'truncated')
    const { sink, bytes } = collector()
    await object?.send(sink, { start: 1000, end: 2_000_000 })
    assert.ok(bytes().equals(content.subarray(1000, 2_000_001)))
    await object?.close()
  })

  test('an object that was replaced while its stream broke is not mixed with what replaced it', async () => {
    server.place(blobKey(), randomBytes(3 * mebibyte))
    server.fail({ operation: 'GetObject', nth: 1 }, 'truncated')
    const object = await driver.open(blobKey())
    server.place(blobKey(), randomBytes(3 * mebibyte))
    await assert.rejects(object?.send(collector().sink) ?? assert.fail('not there'), /was replaced while it was read/)
  })

  test('a store that brings nothing more is given up after some attempts', async () => {
    server.place(blobKey(), randomBytes(3 * mebibyte))
    server.fail({ operation: 'GetObject', nth: 1 }, 'truncated')
    const object = await driver.open(blobKey())
    server.fail({ operation: 'GetObject' }, 'reset before')
    const sending = object?.send(collector().sink) ?? assert.fail('not there')
    await assert.rejects(sending, (error) => isFailure(error, 'unavailable'))
  })

  test('a client that leaves ends the request to the store', async () => {
    server.place(blobKey(), randomBytes(8 * mebibyte))
    const object = await driver.open(blobKey())
    const sink = stuckSink()
    const sending = object?.send(sink) ?? assert.fail('not there')
    sending.catch(() => {})
    setTimeout(() => sink.destroy(), 20)
    await assert.rejects(sending, /the client left/)
    assert.equal(server.count({ operation: 'GetObject' }), 1)
  })

  test('a client that does not read keeps the rest in the store', async () => {
    const content = randomBytes(64 * mebibyte)
    server.place(blobKey(), content)
    const object = await driver.open(blobKey())
    const sink = new PassThrough({ highWaterMark: 1000 })
    const sending = object?.send(sink) ?? assert.fail('not there')
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(sink.readableLength + sink.writableLength < mebibyte)
    let read = 0
    sink.on('data', (piece: Buffer) => {
      read += piece.length
    })
    await sending
    sink.end()
    await once(sink, 'end')
    assert.equal(read, content.length)
  })

  test('an object that is opened and closed unread leaves no connection behind', async () => {
    server.place(blobKey(), randomBytes(8 * mebibyte))
    const handler = driver.bucket.client.config.requestHandler as NodeHttpHandler
    const inUse = (): number => Object.values((handler.httpHandlerConfigs().httpAgent as Agent).sockets).flat().length
    const objects = await Promise.all(Array.from({ length: 20 }, () => driver.open(blobKey())))
    assert.equal(inUse(), 20)
    for (const object of objects) await object?.close()
    await severalTurns()
    assert.equal(inUse(), 0)
  })

  test('a bucket that is not there is no missing object', async () => {
    const other = await driverOn(server, { bucket: 'nowhere' })
    await assert.rejects(other.open(blobKey()), /the bucket does not exist/)
    await assert.rejects(other.write(blobKey(), Buffer.from('x')), /the bucket does not exist/)
    await other.close()
  })

  test('addresses are of the endpoint that clients see, and of the folder that is configured', async () => {
    const publicEndpoint = server.endpoint.replace('127.0.0.1', 'localhost')
    const other = await driverOn(server, { publicEndpoint, root: '/a/root/', addressLifetimeMs: 90_000 })
    const address = new URL(await other.address(blobKey(), { method: 'GET', contentType: 'text/plain' }))
    assert.equal(address.hostname, 'localhost')
    assert.equal(address.pathname, `/${server.bucket}/a/root/${blobKey()}`)
    assert.equal(address.searchParams.get('X-Amz-Expires'), '90')
    assert.equal(address.searchParams.get('response-content-type'), 'text/plain')
    assert.deepEqual(
      [...address.searchParams.keys()].filter((name) => /checksum/i.test(name)),
      [],
    )
    await other.close()
  })

  test('objects are written as their owner wants them', async () => {
    const settings = { keyId: 'a-key', storageClass: 'STANDARD_IA', acl: 'private' }
    const other = await driverOn(server, settings)
    const sent: Record<string, string>[] = []
    other.bucket.client.middlewareStack.add(
      (next) => (args) => {
        sent.push({ ...(args.request as { headers: Record<string, string> }).headers })
        return next(args)
      },
      { step: 'finalizeRequest' },
    )
    await other.write(blobKey(), Buffer.from('x'))
    await other.append(await other.begin(uploadKey()), bodyOf(randomBytes(14 * mebibyte)), () => {})
    await other.copy(blobKey(), blobKey(2))
    const created = sent.filter((headers) => 'content-type' in headers && headers['x-amz-acl'])
    assert.equal(created.length, 3)
    for (const headers of created) {
      assert.equal(headers['content-type'], 'application/octet-stream')
      assert.equal(headers['x-amz-acl'], 'private')
      assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA')
      assert.equal(headers['x-amz-server-side-encryption'], 'aws:kms')
      assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], 'a-key')
    }
    await other.close()
  })
})
