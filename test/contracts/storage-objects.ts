import assert from 'node:assert/strict'
import type { StorageCase } from './storage-driver.ts'
import { caseKey, caseRoot, keysUnder, randomBytes, readBack, severalTurns } from './storage-tools.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

/** Whole objects by key. */
export const objectCases: Readonly<Record<string, StorageCase>> = {
  'what was written is found by stat, open and list': async (driver) => {
    const key = caseKey('a/b/c')
    await driver.write(key, bytes('hello'))
    assert.equal((await driver.stat(key))?.size, 5)
    assert.equal(String(await readBack(driver, key)), 'hello')
    assert.deepEqual(await keysUnder(driver, caseKey('a')), [key])
  },

  'an object of no bytes is an object': async (driver) => {
    const key = caseKey('empty')
    await driver.write(key, new Uint8Array())
    assert.equal((await driver.stat(key))?.size, 0)
    assert.equal((await readBack(driver, key))?.length, 0)
  },

  'writing again replaces everything, also by something shorter': async (driver) => {
    const key = caseKey('twice')
    await driver.write(key, bytes('a long first version'))
    await driver.write(key, bytes('second'))
    assert.equal(String(await readBack(driver, key)), 'second')
    assert.equal((await driver.stat(key))?.size, 6)
  },

  'an object that is not there is undefined': async (driver) => {
    await driver.write(caseKey('folder/file'), bytes('x'))
    for (const path of ['nothing', 'folder', 'folder/file/below', 'folder/other', 'a/b/c/d']) {
      assert.equal(await driver.stat(caseKey(path)), undefined, `stat ${path}`)
      assert.equal(await driver.open(caseKey(path)), undefined, `open ${path}`)
    }
  },

  'deleting what is not there succeeds': async (driver) => {
    await driver.write(caseKey('folder/file'), bytes('x'))
    for (const path of ['nothing', 'folder', 'folder/file/below', 'a/b/c']) await driver.delete(caseKey(path))
    await driver.delete(caseKey('a/b/c'), { durable: false })
    assert.equal(String(await readBack(driver, caseKey('folder/file'))), 'x')
  },

  'a deleted object is gone for stat, open and list': async (driver) => {
    const [gone, kept] = [caseKey('d/gone'), caseKey('d/kept')]
    await driver.write(gone, bytes('x'))
    await driver.write(kept, bytes('y'))
    await driver.delete(gone)
    assert.equal(await driver.stat(gone), undefined)
    assert.equal(await driver.open(gone), undefined)
    assert.deepEqual(await keysUnder(driver, caseKey('d')), [kept])
  },

  'a deleted object can be written again': async (driver) => {
    const key = caseKey('deep/er/again')
    for (let round = 0; round < 3; round++) {
      await driver.write(key, bytes(`round ${round}`), { durable: round !== 1 })
      assert.equal(String(await readBack(driver, key)), `round ${round}`)
      await driver.delete(key, { durable: round !== 1 })
    }
    assert.equal(await driver.stat(key), undefined)
  },

  'list yields everything below a prefix and nothing beside it': async (driver) => {
    const inside = ['l/1', 'l/2/3', 'l/2/4/5', 'l/_under/6'].map(caseKey)
    for (const key of inside) await driver.write(key, bytes(key))
    for (const path of ['la', 'l.txt', 'other/l/1']) await driver.write(caseKey(path), bytes('x'))
    assert.deepEqual(await keysUnder(driver, caseKey('l')), [...inside].sort())
    assert.deepEqual(await keysUnder(driver, caseKey('l/2')), inside.slice(1, 3))
    for await (const info of driver.list(caseKey('l'))) assert.equal(info.size, info.key.length)
  },

  'list of nothing yields nothing': async (driver) => {
    await driver.write(caseKey('file'), bytes('x'))
    assert.deepEqual(await keysUnder(driver, caseKey('nowhere')), [])
    assert.deepEqual(await keysUnder(driver, caseKey('file')), [])
  },

  'a list that is left early can be begun again': async (driver) => {
    for (let n = 0; n < 100; n++) await driver.write(caseKey(`many/${n % 10}/${n}`), bytes('x'), { durable: false })
    for await (const _ of driver.list(caseKey('many'))) break
    assert.equal((await keysUnder(driver, caseKey('many'))).length, 100)
  },

  'the caller may use its buffer again after a write': async (driver) => {
    const key = caseKey('buffer')
    const buffer = bytes('first')
    await driver.write(key, buffer)
    buffer.write('XXXXX')
    assert.equal(String(await readBack(driver, key)), 'first')
  },

  'an object that waits for something gets its name only after it': async (driver) => {
    const key = caseKey('waits')
    const named = Promise.withResolvers<void>()
    const writing = driver.write(key, bytes('later'), { after: named.promise })
    await severalTurns()
    assert.equal(await driver.stat(key), undefined)
    assert.deepEqual(await keysUnder(driver, caseRoot), [])
    named.resolve()
    await writing
    assert.equal(String(await readBack(driver, key)), 'later')
  },

  'an object whose condition fails is not written, and what was there stays': async (driver) => {
    const key = caseKey('fails')
    await driver.write(key, bytes('before'))
    const refused = Promise.reject(new Error('no row names it'))
    refused.catch(() => {})
    await assert.rejects(driver.write(key, bytes('after'), { after: refused }), /no row names it/)
    assert.equal(String(await readBack(driver, key)), 'before')
  },

  'writes that are flushed later are readable at once': async (driver) => {
    const [written, deleted] = [caseKey('f/written'), caseKey('f/deleted')]
    await driver.write(written, bytes('x'), { durable: false })
    await driver.write(deleted, bytes('x'), { durable: false })
    await driver.delete(deleted, { durable: false })
    assert.equal(String(await readBack(driver, written)), 'x')
    await driver.flush([written, deleted, caseKey('never/was')])
    await driver.flush([])
    assert.equal(String(await readBack(driver, written)), 'x')
  },

  'of many writers of one object the last leaves a whole one': async (driver) => {
    const key = caseKey('contested')
    const versions = Array.from({ length: 30 }, (_, n) => Buffer.alloc(5000 + n, n))
    await Promise.all(versions.map((version, n) => driver.write(key, version, { durable: n % 2 === 0 })))
    const left = await readBack(driver, key)
    assert.ok(versions.some((version) => left?.equals(version)))
  },

  'writes and deletes of neighbours do not disturb each other': async (driver) => {
    const kept = Array.from({ length: 40 }, (_, n) => caseKey(`busy/${n % 4}/${n % 8}/${n}/link`))
    const churn = async (n: number) => {
      const key = caseKey(`busy/${n % 4}/${n % 8}/x${n}/link`)
      await driver.write(key, bytes('x'), { durable: n % 2 === 0 })
      await driver.delete(key, { durable: n % 3 === 0 })
    }
    await Promise.all(
      kept.flatMap((key, n) => [churn(n), driver.write(key, bytes(key)), churn(n + 100), driver.delete(caseKey('no'))]),
    )
    assert.deepEqual(await keysUnder(driver, caseKey('busy')), [...kept].sort())
    for (const key of kept) assert.equal(String(await readBack(driver, key)), key)
  },

  'an object that was opened stays whole while it is replaced and deleted': async (driver) => {
    const key = caseKey('held')
    const first = randomBytes(100_000)
    await driver.write(key, first)
    const object = await driver.open(key)
    await driver.write(key, randomBytes(50_000))
    await driver.delete(key)
    assert.equal(object?.size, first.length)
    assert.ok(first.equals((await object?.read()) ?? Buffer.alloc(0)))
    await object?.close()
    await object?.close()
  },

  'a store that can be written says so': (driver) => driver.probe(),
}
