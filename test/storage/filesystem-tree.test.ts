import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { ObjectKey } from '../../storage/driver.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import {
  bodyOf,
  caseKey,
  caseRoot,
  keysUnder,
  randomBytes,
  readBack,
  severalTurns,
  stuckSink,
} from '../contracts/storage-tools.ts'
import { descriptorsUnder, filesUnder, foldersUnder, scratchFolder } from './tree.ts'

function setUp(t: TestContext) {
  const root = scratchFolder(t)
  const driver = new FilesystemDriver(root)
  const pathOf = (key: ObjectKey) => {
    const path = join(root, key)
    fs.mkdirSync(dirname(path), { recursive: true })
    return path
  }
  return { root, driver, pathOf }
}

describe('a volume that somebody tampered with', () => {
  test('a link that leads outside is not followed', async (t) => {
    const { driver, pathOf } = setUp(t)
    const secret = join(scratchFolder(t), 'secret')
    fs.writeFileSync(secret, 'secret')
    const key = caseKey('tags/latest/current/link')
    fs.symlinkSync(secret, pathOf(key))
    assert.equal(await driver.open(key), undefined)
    assert.equal(await driver.stat(key), undefined)
    assert.deepEqual(await keysUnder(driver, caseKey('tags')), [])
    await driver.write(key, Buffer.from('ours'))
    assert.equal(String(await readBack(driver, key)), 'ours')
    await driver.delete(key)
    assert.equal(fs.readFileSync(secret, 'utf8'), 'secret')
  })

  test('an upload does not write through a link that leads outside', async (t) => {
    const { driver, pathOf } = setUp(t)
    const secret = join(scratchFolder(t), 'secret')
    fs.writeFileSync(secret, 'secret')
    const key = caseKey('_uploads/1/data')
    fs.symlinkSync(secret, pathOf(key))
    await assert.rejects(driver.append({ key, size: 0 }, bodyOf(Buffer.from('x')), () => {}))
    assert.equal(fs.readFileSync(secret, 'utf8'), 'secret')
  })

  test('a FIFO in the place of a file is no object and does not hang', async (t) => {
    const { driver, pathOf, root } = setUp(t)
    const key = caseKey('fifo')
    execFileSync('mkfifo', [pathOf(key)])
    assert.equal(await driver.open(key), undefined)
    assert.equal(await driver.stat(key), undefined)
    assert.deepEqual(await keysUnder(driver, caseRoot), [])
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('a folder in the place of a file is no object, and deleting it changes nothing', async (t) => {
    const { driver, pathOf, root } = setUp(t)
    const key = caseKey('folder/link')
    fs.mkdirSync(pathOf(key))
    assert.equal(await driver.open(key), undefined)
    assert.equal(await driver.stat(key), undefined)
    await driver.delete(key)
    assert.ok(fs.statSync(join(root, key)).isDirectory())
  })

  for (const durable of [true, false]) {
    test(`what stands in the way of a write is moved aside with all that it holds (durable: ${durable})`, async (t) => {
      const { driver, pathOf, root } = setUp(t)
      const [folder, file] = [caseKey('folder/link'), caseKey('file/link')]
      fs.mkdirSync(pathOf(folder))
      fs.writeFileSync(join(pathOf(folder), 'inside'), 'somebody’s')
      fs.writeFileSync(dirname(join(root, file)), 'a file where a folder belongs')
      for (const key of [folder, file]) {
        await driver.write(key, Buffer.from('x'), { durable })
        assert.equal((await driver.stat(key))?.size, 1)
      }
      const kept = filesUnder(join(root, 'berth/lost')).map((path) =>
        fs.readFileSync(join(root, 'berth/lost', path), 'utf8'),
      )
      assert.deepEqual(kept.sort(), ['a file where a folder belongs', 'somebody’s'])
    })
  }

  test('a write that fails before its condition does tells its own failure and nothing else', async (t) => {
    const { root, driver } = setUp(t)
    fs.writeFileSync(join(root, 'berth'), 'a file where a folder belongs')
    const condition = new Error('the condition failed, too')
    const written = driver.write(caseKey('file'), Buffer.from('x'), { after: Promise.reject(condition) })
    await assert.rejects(written, { code: 'ENOTDIR' })
    // An unhandled rejection would fail this file.
    await severalTurns()
  })

  test('a key that climbs out of the root is refused', async (t) => {
    const { driver } = setUp(t)
    for (const text of ['../outside', 'a/../../outside', '/etc/passwd', 'a/..']) {
      const key = text as ObjectKey
      await assert.rejects(driver.open(key), /not an object key/)
      await assert.rejects(driver.stat(key), /not an object key/)
      await assert.rejects(driver.write(key, Buffer.from('x')), /not an object key/)
      await assert.rejects(driver.delete(key), /not an object key/)
    }
  })
})

describe('folders', () => {
  test('that a deletion leaves empty are removed, up to the first that is in use', async (t) => {
    const { driver, root } = setUp(t)
    await driver.write(caseKey('tags/a/current/link'), Buffer.from('x'))
    await driver.write(caseKey('tags/b/current/link'), Buffer.from('x'))
    await driver.delete(caseKey('tags/a/current/link'))
    assert.deepEqual(foldersUnder(join(root, 'case')), ['tags', 'tags/b', 'tags/b/current'])
  })

  test('whose name begins with an underscore stay, and so do those above them', async (t) => {
    const { driver, root } = setUp(t)
    await driver.write(caseKey('name/_layers/sha256/ab/link'), Buffer.from('x'))
    await driver.delete(caseKey('name/_layers/sha256/ab/link'))
    assert.deepEqual(foldersUnder(join(root, 'case')), ['name', 'name/_layers'])
  })

  test('are never removed above the root', async (t) => {
    const { driver, root } = setUp(t)
    await driver.write('only' as ObjectKey, Buffer.from('x'))
    await driver.delete('only' as ObjectKey)
    assert.ok(fs.existsSync(root))
  })
})

describe('a file that a dead process left without a name', () => {
  test('is swept away by the owner of the root, and by nobody else', async (t) => {
    const { driver, root } = setUp(t)
    fs.mkdirSync(join(root, 'berth/tmp'), { recursive: true })
    fs.writeFileSync(join(root, 'berth/tmp/left'), 'x')
    await driver.write(caseKey('named'), Buffer.from('x'))
    new FilesystemDriver(root)
    assert.deepEqual(filesUnder(root), ['berth/tmp/left', 'case/named'])
    await driver.sweep()
    assert.deepEqual(filesUnder(root), ['case/named'])
    await driver.write(caseKey('again'), Buffer.from('x'))
  })
})

describe('a listing', () => {
  test('does not name a file that was deleted while it ran', async (t) => {
    const { driver } = setUp(t)
    for (let n = 0; n < 8; n++) await driver.write(caseKey(`shrinking/${n}`), Buffer.from('x'))
    const seen: string[] = []
    for await (const { key } of driver.list(caseKey('shrinking'))) {
      seen.push(key)
      const others = (await keysUnder(driver, caseKey('shrinking'))).filter((other) => other !== key)
      for (const other of others) await driver.delete(other as ObjectKey)
    }
    assert.equal(seen.length, 1)
  })
})

describe('what lies in the way of a listing', () => {
  const childrenOf = async (driver: FilesystemDriver, prefix: ObjectKey) => {
    const found: Record<string, string> = {}
    for await (const { name, kind } of driver.children(prefix)) found[name] = kind
    return found
  }

  test('is neither followed nor opened: links, also in the place of the prefix, and FIFOs', async (t) => {
    const { driver, pathOf, root } = setUp(t)
    const outside = scratchFolder(t)
    fs.writeFileSync(join(outside, 'secret'), 'secret')
    await driver.write(caseKey('file'), Buffer.from('x'))
    fs.symlinkSync(outside, pathOf(caseKey('to-folder')))
    fs.symlinkSync('nowhere', pathOf(caseKey('broken')))
    fs.symlinkSync('circle', pathOf(caseKey('circle')))
    execFileSync('mkfifo', [pathOf(caseKey('fifo'))])
    assert.deepEqual(await childrenOf(driver, caseRoot), {
      file: 'object',
      'to-folder': 'other',
      broken: 'other',
      circle: 'other',
      fifo: 'other',
    })
    for (const path of ['to-folder', 'broken', 'circle', 'fifo']) {
      assert.deepEqual(await childrenOf(driver, caseKey(path)), {}, path)
      assert.deepEqual(await keysUnder(driver, caseKey(path)), [], path)
    }
    assert.deepEqual(await keysUnder(driver, caseRoot), [caseKey('file')])
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('does not end it: names that are no UTF-8, folders of them, and files where folders belong', async (t) => {
    const { driver, pathOf } = setUp(t)
    await driver.write(caseKey('good/link'), Buffer.from('x'))
    const odd = (end: string) =>
      Buffer.concat([Buffer.from(`${pathOf(caseKey('odd'))}-`), Buffer.from([0xff, 0xfe]), Buffer.from(end)])
    fs.writeFileSync(odd('file'), 'x')
    fs.mkdirSync(odd('folder'))
    fs.writeFileSync(odd('folder/below'), 'x')
    assert.deepEqual(await keysUnder(driver, caseRoot), [caseKey('good/link')])
    assert.deepEqual(Object.values(await childrenOf(driver, caseRoot)).sort(), ['folder', 'folder', 'object'])
    assert.deepEqual(await keysUnder(driver, caseKey('good/link/below')), [])
  })

  test('may vanish while it is walked', async (t) => {
    const { driver, root } = setUp(t)
    for (let n = 0; n < 20; n++) await driver.write(caseKey(`${n}/deep/link`), Buffer.from('x'))
    const seen: string[] = []
    for await (const { key } of driver.list(caseRoot)) {
      seen.push(key)
      for (const folder of fs.readdirSync(join(root, 'case')))
        fs.rmSync(join(root, 'case', folder), { recursive: true })
    }
    assert.equal(seen.length, 1)
    assert.deepEqual(await childrenOf(driver, caseRoot), {})
  })
})

describe('descriptors', () => {
  test('of a client that left are closed with the object', async (t) => {
    const { driver, root } = setUp(t)
    await driver.write(caseKey('large'), randomBytes(2_000_000))
    const object = await driver.open(caseKey('large'))
    assert.ok(object)
    assert.equal(descriptorsUnder(root).length, 1)
    const sink = stuckSink()
    const sending = object.send(sink).finally(() => object.close())
    sending.catch(() => {})
    await severalTurns()
    sink.destroy()
    await assert.rejects(sending)
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('of an upload are closed however its source ends', async (t) => {
    const { driver, root } = setUp(t)
    for (const body of [bodyOf(randomBytes(100_000)), bodyOf()]) {
      await driver.append({ key: caseKey('_uploads/1/data'), size: 0 }, body, () => {})
    }
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('of a file that ends before its size are closed with a reason', async (t) => {
    const { driver, root } = setUp(t)
    await driver.write(caseKey('short'), randomBytes(1000))
    const object = await driver.open(caseKey('short'))
    fs.truncateSync(join(root, caseKey('short')), 10)
    await assert.rejects(object?.read() ?? Promise.resolve(), /holds 10 bytes instead of 1000/)
    await assert.rejects(
      object?.send(stuckSink(), { start: 500, end: 600 }) ?? Promise.resolve(),
      /ended 101 bytes early/,
    )
    await object?.close()
    assert.deepEqual(descriptorsUnder(root), [])
  })
})
