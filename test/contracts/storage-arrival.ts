import assert from 'node:assert/strict'
import type { Arrival, ObjectKey, Stage, StorageDriver } from '../../storage/driver.ts'
import type { StorageCase } from './storage-driver.ts'
import { bodyOf, brokenBody, caseKey, caseRoot, keysUnder, randomBytes, readBack } from './storage-tools.ts'

const [upload, blob] = [caseKey('uploads/1'), caseKey('blobs/one/data')]
const mebibyte = 1024 * 1024
const ignore = (): void => {}
/** As the row of an upload would have it. */
const written = (stage: Stage): Stage => JSON.parse(JSON.stringify(stage)) as Stage

async function arrived(driver: StorageDriver, content: Buffer, arrival: Arrival, from?: Stage): Promise<Stage> {
  const { stage } = await driver.append(from ?? (await driver.begin(upload)), bodyOf(content), ignore, arrival)
  return written(stage)
}

/** The object where `seal` says that it is, and its key. */
async function sealedAt(driver: StorageDriver, stage: Stage, key: ObjectKey): Promise<[Buffer | undefined, ObjectKey]> {
  await driver.harden(stage)
  const place = await driver.seal(stage, key)
  return [await readBack(driver, place), place]
}

async function stagedKeys(driver: StorageDriver): Promise<ObjectKey[]> {
  const keys: ObjectKey[] = []
  for await (const { stage } of driver.staged(caseKey('uploads'))) keys.push(stage.key)
  return keys.sort()
}

/** What a driver may make of knowing more about bytes that arrive. */
export const arrivalCases: Readonly<Record<string, StorageCase>> = {
  'an object is where sealing says, and can be copied to its key where that is elsewhere': async (driver) => {
    for (const size of [10, 6 * mebibyte, 21 * mebibyte, 66 * mebibyte]) {
      const content = randomBytes(size)
      const [found, place] = await sealedAt(driver, await arrived(driver, content, {}), blob)
      assert.ok(found?.equals(content), `${size} bytes`)
      if (place === blob) continue
      await driver.copy?.(place, blob)
      await driver.delete(place)
      assert.ok((await readBack(driver, blob))?.equals(content), `${size} bytes, copied`)
    }
    assert.deepEqual(await keysUnder(driver, caseRoot), [blob])
  },

  'large chunks and small ones become one object': async (driver) => {
    const chunks = [14, 6, 0.001, 0.5, 7, 4].map((size) => randomBytes(size * mebibyte))
    let stage = await driver.begin(upload)
    for (const chunk of chunks) stage = await arrived(driver, chunk, {}, stage)
    const [found] = await sealedAt(driver, stage, blob)
    assert.ok(found?.equals(Buffer.concat(chunks)))
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'an object whose key is known from the start appears there when it is sealed': async (driver) => {
    for (const size of [14 * mebibyte, 0]) {
      const content = randomBytes(size)
      const stage = await arrived(driver, content, { destination: blob })
      await driver.harden(stage)
      if (size > 0) assert.equal(await driver.stat(blob), undefined)
      const [found, place] = await sealedAt(driver, stage, blob)
      assert.ok(found?.equals(content))
      assert.equal(place, blob)
    }
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'a process that does not know that an upload was hardened hardens it again': async (driver) => {
    const content = randomBytes(14 * mebibyte + 5)
    const begun = await arrived(driver, content.subarray(0, 14 * mebibyte), {})
    const stage = await arrived(driver, content.subarray(14 * mebibyte), {}, begun)
    await driver.harden(stage)
    const [found] = await sealedAt(driver, stage, blob)
    assert.ok(found?.equals(content))
  },

  'the key is known when the rest comes, and what came before lies elsewhere': async (driver) => {
    for (const before of [1000, 14 * mebibyte]) {
      const [first, rest] = [randomBytes(before), randomBytes(7 * mebibyte)]
      const stage = await arrived(driver, rest, { destination: blob }, await arrived(driver, first, {}))
      const [found, place] = await sealedAt(driver, stage, blob)
      assert.ok(found?.equals(Buffer.concat([first, rest])))
      assert.equal(place, blob)
    }
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'a place is asked for once at most, and what lies there outlives the upload': async (driver) => {
    const content = randomBytes(1000)
    let asked = 0
    const place = async () => {
      asked++
      return blob
    }
    const stage = await arrived(driver, content, { place })
    assert.ok(asked <= 1)
    const isPlaced = (await driver.stat(blob)) !== undefined
    assert.equal(isPlaced, asked === 1)
    await driver.discard(stage)
    assert.deepEqual(await keysUnder(driver, caseRoot), isPlaced ? [blob] : [])
    const again = await arrived(driver, content, { place })
    assert.ok((await sealedAt(driver, again, blob))[0]?.equals(content))
  },

  'no place is asked for where the source broke': async (driver) => {
    const body = brokenBody(new Error('reset'), randomBytes(1000))
    const place = () => assert.fail('the bytes are not all there')
    const { stage, broken } = await driver.append(await driver.begin(upload), body, ignore, { place })
    assert.ok(broken)
    await driver.discard(written(stage))
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'from whatever was kept another process can go on': async (driver) => {
    const content = randomBytes(70 * mebibyte)
    const kept: Stage[] = []
    await arrived(driver, content, { kept: async (stage) => void kept.push(written(stage)) })
    const from = kept[0] ?? (await driver.begin(upload))
    const stage = await arrived(driver, content.subarray(from.size), {}, from)
    const [found, place] = await sealedAt(driver, stage, blob)
    assert.ok(found?.equals(content))
    await driver.delete(place)
    await driver.discard(stage)
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'a record that cannot be written ends the upload': async (driver) => {
    const refused = async () => {
      throw new Error('another node has this upload')
    }
    const body = bodyOf(randomBytes(70 * mebibyte))
    const appending = driver.append(await driver.begin(upload), body, ignore, { kept: refused })
    const outcome = await appending.catch((error: Error) => error.message)
    if (typeof outcome === 'string') assert.match(outcome, /another node/)
    await driver.discard(await driver.begin(upload))
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'what was staged is told until it is sealed or discarded': async (driver) => {
    const keys = [1, 2, 3].map((n) => caseKey(`uploads/${n}`))
    const stages = new Map<ObjectKey, Stage>()
    for (const [n, key] of keys.entries()) {
      const { stage } = await driver.append(
        await driver.begin(key),
        bodyOf(randomBytes(n === 1 ? 14 * mebibyte : 10)),
        ignore,
      )
      stages.set(key, written(stage))
    }
    assert.deepEqual(await stagedKeys(driver), keys)
    for await (const { stage, modifiedAt } of driver.staged(caseKey('uploads'))) {
      assert.ok(Math.abs(Date.now() - modifiedAt) < 60_000)
      // Who finds it knows no state.
      if (stage.key !== keys[0]) await driver.discard({ key: stage.key, size: stage.size })
    }
    assert.deepEqual(await stagedKeys(driver), keys.slice(0, 1))
    await sealedAt(driver, stages.get(caseKey('uploads/1')) ?? assert.fail('no stage'), blob)
    assert.deepEqual(await stagedKeys(driver), [])
  },

  'an object can be fetched at its address, as long as the address is not changed': async (driver) => {
    if (!driver.address) return
    const content = randomBytes(100_000)
    await driver.write(blob, content)
    const contentType = 'application/vnd.oci.image.layer.v1.tar+gzip'
    const get = await fetch(await driver.address(blob, { method: 'GET', contentType }))
    assert.deepEqual([get.status, get.headers.get('content-type')], [200, contentType])
    assert.ok(Buffer.from(await get.arrayBuffer()).equals(content))
    const address = await driver.address(blob, { method: 'HEAD', contentType })
    const head = await fetch(address, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, '100000'])
    const changed = await fetch(address.replace('blobs/one', 'blobs/two'), { method: 'HEAD' })
    assert.equal(changed.status, 403)
  },
}
