import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import type { Stage } from '../../storage/driver.ts'
import type { StorageCase } from './storage-driver.ts'
import {
  bodyOf,
  brokenBody,
  caseKey,
  caseRoot,
  keysUnder,
  randomBytes,
  readBack,
  sealed,
  severalTurns,
  stageOf,
} from './storage-tools.ts'

const [upload, blob] = [caseKey('_uploads/1/data'), caseKey('blobs/one/data')]
const ignore = (): void => {}

/** Large objects that arrive in pieces. */
export const stagingCases: Readonly<Record<string, StorageCase>> = {
  'pieces become one object, and its stage is gone': async (driver) => {
    const pieces = [randomBytes(200_000), randomBytes(1), randomBytes(1_500_000)]
    let stage = await driver.begin(upload)
    assert.equal(stage.size, 0)
    for (const piece of pieces) stage = (await driver.append(stage, bodyOf(piece), ignore)).stage
    assert.equal(stage.size, 1_700_001)
    assert.equal(await driver.stat(blob), undefined)
    assert.ok((await sealed(driver, stage, blob))?.equals(Buffer.concat(pieces)))
    assert.deepEqual(await keysUnder(driver, caseRoot), [blob])
  },

  'a stage of no bytes becomes an empty object': async (driver) => {
    assert.equal((await sealed(driver, await driver.begin(upload), blob))?.length, 0)
  },

  'an append of no bytes changes nothing': async (driver) => {
    const stage = await stageOf(driver, upload, Buffer.from('abc'))
    const { stage: same, broken } = await driver.append(stage, bodyOf(), ignore)
    assert.deepEqual([same.size, broken], [3, undefined])
    assert.equal(String(await sealed(driver, same, blob)), 'abc')
  },

  'every byte is observed once and in order': async (driver) => {
    const pieces = Array.from({ length: 300 }, (_, n) => randomBytes((n * 7919) % 40_000))
    const seen: Buffer[] = []
    const { stage } = await driver.append(await driver.begin(upload), bodyOf(...pieces), (piece) => {
      seen.push(Buffer.from(piece))
    })
    assert.ok(Buffer.concat(seen).equals(Buffer.concat(pieces)))
    await driver.discard(stage)
  },

  'a source that breaks keeps what arrived and says why': async (driver) => {
    const arrived = [randomBytes(70_000), randomBytes(5)]
    let seen = 0
    const body = brokenBody(new Error('connection reset'), ...arrived)
    const { stage, broken } = await driver.append(await driver.begin(upload), body, (piece) => {
      seen += piece.length
    })
    assert.match(broken?.message ?? '', /connection reset/)
    assert.deepEqual([stage.size, seen], [70_005, 70_005])
    const { stage: whole } = await driver.append(stage, bodyOf(Buffer.from('rest')), ignore)
    assert.ok((await sealed(driver, whole, blob))?.equals(Buffer.concat([...arrived, Buffer.from('rest')])))
  },

  'a source that closes without an end is broken': async (driver) => {
    const body = new Readable({ read() {} })
    body.push('half')
    const appending = driver.append(await driver.begin(upload), body, ignore)
    await severalTurns()
    body.destroy()
    const { stage, broken } = await appending
    assert.ok(broken instanceof Error)
    assert.equal(stage.size, 4)
    await driver.discard(stage)
  },

  'a source that was over before is empty or broken, and does not hang': async (driver) => {
    const [ended, destroyed] = [bodyOf(), new Readable({ read() {} })]
    ended.resume()
    destroyed.destroy()
    await severalTurns()
    const stage = await driver.begin(upload)
    assert.equal((await driver.append(stage, ended, ignore)).stage.size, 0)
    assert.ok((await driver.append(stage, destroyed, ignore)).broken)
    await driver.discard(stage)
  },

  'what lies beyond the size of a stage is overwritten': async (driver) => {
    const first = await stageOf(driver, upload, Buffer.from('kept.'))
    await driver.append(first, bodyOf(Buffer.from('written by somebody who died')), ignore)
    const { stage } = await driver.append(first, bodyOf(Buffer.from('true')), ignore)
    assert.equal(stage.size, 9)
    assert.equal(String(await sealed(driver, stage, blob)), 'kept.true')
  },

  'what lies beyond the size of a stage is not sealed': async (driver) => {
    const first = await stageOf(driver, upload, Buffer.from('kept'))
    await driver.append(first, bodyOf(Buffer.from('written by somebody who died')), ignore)
    assert.equal(String(await sealed(driver, first, blob)), 'kept')
  },

  'a stage of no bytes drops what lies there': async (driver) => {
    const none = await driver.begin(upload)
    await driver.append(none, bodyOf(Buffer.from('written by somebody who died')), ignore)
    assert.equal((await sealed(driver, none, blob))?.length, 0)
  },

  'a stage survives being written down': async (driver) => {
    const written = JSON.stringify(await stageOf(driver, upload, Buffer.from('one ')))
    const { stage } = await driver.append(JSON.parse(written) as Stage, bodyOf(Buffer.from('two')), ignore)
    assert.equal(String(await sealed(driver, JSON.parse(JSON.stringify(stage)) as Stage, blob)), 'one two')
  },

  'sealing replaces what was there': async (driver) => {
    await driver.write(blob, Buffer.from('a damaged and much longer object'))
    const stage = await stageOf(driver, upload, Buffer.from('healed'))
    assert.equal(String(await sealed(driver, stage, blob)), 'healed')
  },

  'inspecting finds what is there, and never more than the stage says': async (driver) => {
    const stage = await stageOf(driver, upload, randomBytes(1000))
    assert.equal((await driver.inspect(stage)).size, 1000)
    assert.equal((await driver.inspect({ ...stage, size: 5000 })).size, 1000)
    assert.equal((await driver.inspect({ ...stage, size: 10 })).size, 10)
    assert.equal((await driver.inspect(await driver.begin(caseKey('_uploads/none/data')))).size, 0)
    await driver.discard(stage)
  },

  'rereading gives back exactly what the stage says': async (driver) => {
    const content = randomBytes(700_001)
    const stage = await stageOf(driver, upload, content)
    for (const size of [0, 1, 262_144, content.length]) {
      const seen: Buffer[] = []
      await driver.reread({ ...stage, size }, (piece) => void seen.push(Buffer.from(piece)))
      assert.ok(Buffer.concat(seen).equals(content.subarray(0, size)), `${size} bytes`)
    }
    await driver.discard(stage)
  },

  'a discarded stage leaves nothing, and can be discarded again': async (driver) => {
    const stage = await stageOf(driver, upload, randomBytes(1000))
    await driver.discard(stage)
    await driver.discard(stage)
    assert.deepEqual(await keysUnder(driver, caseRoot), [])
  },

  'many uploads at once keep apart': async (driver) => {
    const contents = Array.from({ length: 40 }, (_, n) => randomBytes(150_000 + n))
    const arrive = async (content: Buffer, n: number) => {
      let stage = await driver.begin(caseKey(`_uploads/${n}/data`))
      for (let at = 0; at < content.length; at += 60_000) {
        stage = (await driver.append(stage, bodyOf(content.subarray(at, at + 60_000)), ignore)).stage
      }
      await driver.harden(stage)
      await driver.seal(stage, caseKey(`blobs/${n}/data`))
    }
    await Promise.all(contents.map(arrive))
    for (const [n, content] of contents.entries()) {
      assert.ok((await readBack(driver, caseKey(`blobs/${n}/data`)))?.equals(content))
    }
  },

  'however chunks are cut, broken and repeated, the object is what counted': async (driver) => {
    const step = fc.record({ length: fc.nat(5000), fate: fc.constantFrom('counts', 'is forgotten', 'breaks') })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        let stage = await driver.begin(upload)
        const counted: Buffer[] = []
        for (const { length, fate } of steps) {
          const piece = randomBytes(length)
          const body = fate === 'breaks' ? brokenBody(new Error('gone'), piece) : bodyOf(piece)
          const { stage: grown } = await driver.append(stage, body, ignore)
          if (fate === 'is forgotten') continue
          stage = grown
          counted.push(piece)
        }
        assert.ok((await sealed(driver, stage, blob))?.equals(Buffer.concat(counted)))
      }),
      { numRuns: 30 },
    )
  },
}
