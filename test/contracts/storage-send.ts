import assert from 'node:assert/strict'
import fc from 'fast-check'
import { lengthOf } from '../../oci/range.ts'
import type { OpenObject, StorageDriver } from '../../storage/driver.ts'
import type { StorageCase } from './storage-driver.ts'
import { caseKey, collector, randomBytes, severalTurns, stuckSink } from './storage-tools.ts'

async function opened(driver: StorageDriver, content: Uint8Array): Promise<OpenObject> {
  await driver.write(caseKey('sent'), content)
  const object = await driver.open(caseKey('sent'))
  assert.ok(object)
  return object
}

/** An object on its way to a client. */
export const sendCases: Readonly<Record<string, StorageCase>> = {
  'sends everything at the pace of a slow client and does not end it': async (driver) => {
    const content = randomBytes(3 * 1024 * 1024 + 17)
    const object = await opened(driver, content)
    const { sink, bytes } = collector()
    await object.send(sink)
    assert.ok(bytes().equals(content))
    assert.equal(sink.writableEnded, false)
    await object.close()
  },

  'sends nothing of an empty object': async (driver) => {
    const object = await opened(driver, new Uint8Array())
    const { sink, bytes } = collector()
    await object.send(sink)
    assert.equal(bytes().length, 0)
    await object.close()
  },

  'sends exactly the range that was asked for': async (driver) => {
    const content = randomBytes(1_300_000)
    const object = await opened(driver, content)
    const range = fc
      .tuple(fc.nat(content.length - 1), fc.nat(content.length - 1))
      .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))
    const edges = [
      { start: 0, end: 0 },
      { start: content.length - 1, end: content.length - 1 },
      { start: 0, end: content.length - 1 },
      { start: 524_288, end: 1_048_575 },
    ]
    const sendsIt = async ({ start, end }: { start: number; end: number }) => {
      const { sink, bytes } = collector()
      await object.send(sink, { start, end })
      assert.equal(bytes().length, lengthOf({ start, end }))
      assert.ok(bytes().equals(content.subarray(start, end + 1)))
    }
    for (const edge of edges) await sendsIt(edge)
    await fc.assert(fc.asyncProperty(range, sendsIt), { numRuns: 25 })
    await object.close()
  },

  'sends one object to several clients at once': async (driver) => {
    const content = randomBytes(700_000)
    const object = await opened(driver, content)
    const clients = Array.from({ length: 12 }, collector)
    await Promise.all(clients.map(({ sink }) => object.send(sink)))
    for (const { bytes } of clients) assert.ok(bytes().equals(content))
    await object.close()
  },

  'a client that leaves while it is sent to ends the wait': async (driver) => {
    for (const size of [10, 100_000, 2_000_000]) {
      const object = await opened(driver, randomBytes(size))
      const sink = stuckSink()
      const sending = object.send(sink)
      sending.catch(() => {})
      await severalTurns()
      sink.destroy()
      await assert.rejects(sending)
      await object.close()
    }
  },

  'a client that left before is not sent to': async (driver) => {
    const object = await opened(driver, randomBytes(1000))
    const sink = stuckSink()
    sink.destroy()
    sink.on('error', () => {})
    await severalTurns()
    await assert.rejects(object.send(sink))
    await object.close()
  },

  'a client that fails ends the sending': async (driver) => {
    const object = await opened(driver, randomBytes(2_000_000))
    const sink = stuckSink()
    sink.on('error', () => {})
    const sending = object.send(sink)
    sending.catch(() => {})
    sink.destroy(new Error('reset by peer'))
    await assert.rejects(sending)
    await object.close()
  },
}
