/** What tells a volume from a copy of its files. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout } from '../../storage/layout.ts'
import { scratchFolder } from './tree.ts'

function onDisk(t: TestContext) {
  const root = scratchFolder(t)
  return { root, driver: new FilesystemDriver(root) }
}

describe('the place of a volume', () => {
  test('is another for a copy of its files, and the same after a move and a restart', async (t) => {
    const { driver, root } = onDisk(t)
    assert.equal(await driver.place(), undefined, 'nobody served it yet')
    const place = await placeOf(driver)
    assert.match(place ?? '', /^\d+:\d+$/)
    const parent = scratchFolder(t)
    fs.cpSync(root, join(parent, 'copy'), { recursive: true, preserveTimestamps: true })
    fs.renameSync(root, join(parent, 'moved'))
    assert.notEqual(await placeOf(new FilesystemDriver(join(parent, 'copy'))), place)
    assert.equal(await new FilesystemDriver(join(parent, 'moved')).place(), place)
  })

  test('is the same after somebody removed the lock that a crash left, and all other files', async (t) => {
    const { driver, root } = onDisk(t)
    const place = await placeOf(driver)
    for (const name of fs.readdirSync(join(root, 'berth'))) fs.rmSync(join(root, 'berth', name), { recursive: true })
    assert.equal(await placeOf(driver), place)
  })

  test('cannot be told where inodes do not last, nor where the system knows no time of birth', async (t) => {
    const { driver } = onDisk(t)
    assert.ok(await placeOf(driver))
    const { statfsSync, lstatSync } = fs
    const onNfs = t.mock.method(fs, 'statfsSync', (path: string) => ({ ...statfsSync(path), type: 0x6969 }))
    assert.equal(await driver.place(), undefined)
    onNfs.mock.restore()
    t.mock.method(fs, 'lstatSync', (path: string, options: { bigint: true }) => {
      const found = lstatSync(path, options)
      return Object.assign(found, { birthtimeNs: found.ctimeNs })
    })
    assert.equal(await driver.place(), undefined)
  })
})

/** Of a folder that has been written to since it was born, by the clock of its file system. */
async function placeOf(driver: FilesystemDriver): Promise<string | undefined> {
  await driver.write(layout.store, Buffer.from('x'))
  await new Promise((resolve) => setTimeout(resolve, 20))
  await driver.write(layout.lock, Buffer.from('x'))
  return driver.place()
}
