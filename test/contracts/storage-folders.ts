import assert from 'node:assert/strict'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import type { StorageCase } from './storage-driver.ts'
import { bodyOf, caseKey, caseRoot, stageOf } from './storage-tools.ts'

const some = Buffer.from('x')
/** Clocks of file systems tick coarsely. */
const tickMs = 1000

async function childrenOf(driver: StorageDriver, prefix: ObjectKey): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { name, kind } of driver.children(prefix)) {
    assert.ok(!(name in found), `${name} came twice`)
    found[name] = kind
  }
  return found
}

/** What stands under a prefix, when it was written, and where all of it is. */
export const folderCases: Readonly<Record<string, StorageCase>> = {
  'children are what stands right under a prefix, each once': async (driver) => {
    for (const path of ['c/object', 'c/folder/1', 'c/folder/2/3', 'c/_under/4', 'c.txt', 'cc/5', 'other/c/6']) {
      await driver.write(caseKey(path), some)
    }
    assert.deepEqual(await childrenOf(driver, caseKey('c')), { object: 'object', folder: 'folder', _under: 'folder' })
    assert.deepEqual(await childrenOf(driver, caseKey('c/folder')), { '1': 'object', '2': 'folder' })
  },

  'what is absent, and an object, has no children': async (driver) => {
    await driver.write(caseKey('file'), some)
    for (const path of ['nowhere', 'file', 'file/below', 'a/b/c']) {
      assert.deepEqual(await childrenOf(driver, caseKey(path)), {}, path)
    }
  },

  'a folder whose last object was deleted is no child any more': async (driver) => {
    for (const path of ['d/gone/1/link', 'd/kept/1/link']) await driver.write(caseKey(path), some)
    await driver.delete(caseKey('d/gone/1/link'))
    assert.deepEqual(await childrenOf(driver, caseKey('d')), { kept: 'folder' })
  },

  'children of a large folder are all told, also after they were once left early': async (driver) => {
    const names = Array.from({ length: 1500 }, (_, n) => `n${n}`)
    await Promise.all(names.map((name) => driver.write(caseKey(`many/${name}`), some, { durable: false })))
    for await (const _ of driver.children(caseKey('many'))) break
    assert.deepEqual(Object.keys(await childrenOf(driver, caseKey('many'))).sort(), names.sort())
  },

  'an object says when it was written, in whole milliseconds': async (driver) => {
    const key = caseKey('dated')
    const before = Date.now()
    await driver.write(key, some)
    const info = await driver.stat(key)
    const at = info?.modifiedAt ?? 0
    assert.ok(at >= before - tickMs && at <= Date.now() + tickMs, `${at} is not about ${before}`)
    assert.equal(at, Math.floor(at))
    for await (const listed of driver.list(caseRoot)) assert.deepEqual(listed, info)
  },

  'an object that arrived in pieces says so, too': async (driver) => {
    const before = Date.now()
    const stage = await stageOf(driver, caseKey('upload'), some)
    const { stage: whole } = await driver.append(stage, bodyOf(some), () => {})
    await driver.harden(whole)
    await driver.seal(whole, caseKey('sealed'))
    const info = await driver.stat(caseKey('sealed'))
    assert.equal(info?.size, 2)
    assert.ok(info.modifiedAt >= before - tickMs && info.modifiedAt <= Date.now() + tickMs)
  },

  'space is told in bytes, where there is a limit': async (driver) => {
    const space = await driver.space()
    if (!space) return
    assert.ok(space.total > 0)
    assert.ok(space.free >= 0 && space.free <= space.total)
  },

  'the place is the same as long as it is asked': async (driver) => {
    await driver.write(layout.lock, some)
    // Its folder is older than what it holds, by the clock of any file system.
    await new Promise((resolve) => setTimeout(resolve, 20))
    await driver.write(layout.lock, some)
    const place = await driver.place()
    await driver.write(caseKey('file'), some)
    assert.equal(await driver.place(), place)
    await driver.delete(layout.lock)
  },
}
