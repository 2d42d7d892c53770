/** What people and disks do to the folders of a repository. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { digestOf, hexOf } from '../../oci/digest.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout } from '../../storage/layout.ts'
import { type Found, readLink, scanRepository } from '../../storage/repository-tree.ts'
import { tagOf } from '../contracts/facts-tools.ts'
import { base, damages, found, latest, name, namesIn, one, put, three, two } from './found-tools.ts'
import { descriptorsUnder, scratchFolder } from './tree.ts'

function onDisk(t: TestContext) {
  const root = scratchFolder(t)
  const pathOf = (key: string) => {
    const path = join(root, key)
    fs.mkdirSync(dirname(path), { recursive: true })
    return path
  }
  return { root, driver: new FilesystemDriver(root), pathOf }
}

describe('a repository on a disk', () => {
  test('folders without a link are what deletions leave: no fact and no damage', async (t) => {
    const { driver, pathOf } = onDisk(t)
    for (const key of [
      layout.layer(name, one),
      layout.revision(name, one),
      layout.tagCurrent(name, latest),
      layout.tagIndex(name, latest, one),
      layout.tagCurrent(name, tagOf('emptier')).replace('/current', ''),
    ]) {
      pathOf(key)
    }
    assert.deepEqual(await found(driver), [])
    assert.deepEqual((await namesIn(driver)).names, [name])
  })

  test('links of the system are named and not followed, wherever they stand', async (t) => {
    const { driver, pathOf, root } = onDisk(t)
    const outside = scratchFolder(t)
    fs.writeFileSync(join(outside, 'link'), one)
    const toFile = [layout.layer(name, one), layout.revision(name, one), layout.tagCurrent(name, latest)]
    for (const key of toFile) fs.symlinkSync(join(outside, 'link'), pathOf(key))
    const places = [
      '_layers/sha512',
      '_layers/sha256/x',
      '_manifests/tags/t',
      '_manifests/tags/latest/index',
      '_uploads',
    ]
    for (const path of places) fs.symlinkSync(outside, pathOf(`${base}/${path}`))
    fs.symlinkSync(outside, pathOf(`${layout.repositories}/linked`))
    const found = await damages(driver)
    assert.deepEqual(Object.keys(found).sort(), [...toFile.map((key) => key.slice(base.length + 1)), ...places].sort())
    for (const detail of Object.values(found)) assert.match(detail, /: is a symbolic link or device where /)
    assert.equal(await readLink(driver, layout.layer(name, one)), 'damaged')
    assert.deepEqual(await namesIn(driver), { names: [name], odd: ['linked'] })
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('folders, FIFOs and names that are no UTF-8 in the place of links are named', async (t) => {
    const { driver, pathOf } = onDisk(t)
    fs.mkdirSync(pathOf(layout.layer(name, one)))
    execFileSync('mkfifo', [pathOf(layout.revision(name, one))])
    fs.mkdirSync(Buffer.concat([Buffer.from(pathOf(`${base}/_manifests/tags/`)), Buffer.from([0x2f, 0xff])]), {
      recursive: true,
    })
    assert.deepEqual(await damages(driver), {
      [`_layers/sha256/${hexOf(one)}/link`]: 'layer: is a folder where a link file belongs',
      [`_manifests/revisions/sha256/${hexOf(one)}/link`]:
        'revision: is a symbolic link or device where a link file belongs',
      '_manifests/tags/\ufffd': 'stray: has no place here, where only the folder of a tag may be',
    })
  })

  test('a history is told oldest first', async (t) => {
    const { driver, root } = onDisk(t)
    for (const [digest, seconds] of [
      [one, 300],
      [two, 100],
      [three, 200],
    ] as const) {
      await put(driver, layout.tagIndex(name, latest, digest), digest)
      fs.utimesSync(join(root, layout.tagIndex(name, latest, digest)), seconds, seconds)
    }
    await put(driver, layout.tagCurrent(name, latest), one)
    fs.utimesSync(join(root, layout.tagCurrent(name, latest)), 300, 300)
    const all: Found[] = []
    for await (const each of scanRepository(driver, name)) all.push(each)
    assert.deepEqual(all, [{ kind: 'tag', tag: latest, digest: one, modifiedAt: 300_000, history: [two, three, one] }])
  })

  test('a repository that vanishes while it is read ends quietly', async (t) => {
    const { driver, root } = onDisk(t)
    for (let n = 0; n < 100; n++) {
      const digest = digestOf(Buffer.from(`${n}`))
      await driver.write(layout.layer(name, digest), Buffer.from(digest), { durable: false })
    }
    let seen = 0
    for await (const each of scanRepository(driver, name)) {
      assert.equal(each.kind, 'layer')
      if (seen++ === 0) fs.rmSync(join(root, base), { recursive: true })
    }
    assert.ok(seen >= 1 && seen < 100, `${seen} were seen`)
    assert.deepEqual(descriptorsUnder(root), [])
  })

  test('a link that cannot be read is an error, and neither absent nor damaged', async (t) => {
    const driver = onDisk(t).driver
    await put(driver, layout.layer(name, one), one)
    const broken = Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
    t.mock.method(driver, 'open', () => Promise.reject(broken))
    await assert.rejects(found(driver), { code: 'EIO' })
    await assert.rejects(readLink(driver, layout.layer(name, one)), { code: 'EIO' })
  })
})
