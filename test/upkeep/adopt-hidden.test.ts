/** Places that another registry looks into and that are not followed here. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Facts } from '../../metadata/facts.ts'
import { digestOf } from '../../oci/digest.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout } from '../../storage/layout.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { beginAdoption } from '../../upkeep/adopt/phase.ts'
import { takeOwnership } from '../../upkeep/own/ownership.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { pushImage } from '../contracts/push.ts'
import { scratchFolder } from '../storage/tree.ts'
import { adopterOf, openStore, readWithout, settled } from './adopt-world.ts'

const name = nameOf('team/app')
const whole = nameOf('whole')

async function onDisk(t: TestContext) {
  const root = scratchFolder(t)
  const driver = new FilesystemDriver(root)
  const local = await openStore(t, driver)
  const image = await pushImage(local.repository(name), 'latest')
  await pushImage(local.repository(whole), 'latest', 'another')
  await settled(local)
  const elsewhere = join(scratchFolder(t), 'moved')
  /** As an administrator does who has run out of room. */
  const move = (key: string) => {
    fs.renameSync(join(root, key), join(elsewhere, basename(key)))
    fs.symlinkSync(join(elsewhere, basename(key)), join(root, key))
  }
  const moveBack = (key: string) => {
    fs.unlinkSync(join(root, key))
    fs.renameSync(join(elsewhere, basename(key)), join(root, key))
  }
  fs.mkdirSync(elsewhere)
  return { root, driver, local, image, move, moveBack }
}

const hiddenIn = (facts: Facts) => facts.read.store.get('hidden')
const damageAt = async (facts: Facts, key: string) =>
  (await facts.read.damages.page('', 100)).find((each) => each.key === key)

const places: Readonly<Record<string, string>> = {
  [layout.repositories]: '',
  [layout.blobs]: '',
  [layout.repository(name)]: name,
  [`${layout.repositories}/team`]: 'team',
  [layout.layers(name)]: name,
  [layout.manifests(name)]: name,
  [layout.revisions(name)]: name,
  [layout.tags(name)]: name,
  [`${layout.layers(name)}/sha256`]: name,
  [`${layout.revisions(name)}/sha256`]: name,
}

for (const [place, repository] of Object.entries(places)) {
  test(`a link of the system at ${place} is named, and may hide facts`, async (t) => {
    const { driver, move } = await onDisk(t)
    move(place)
    const read = await readWithout(t, driver)
    await read.run()
    const { facts } = read.parts
    assert.deepEqual(read.errors, [])
    assert.equal(await hiddenIn(facts), place)
    const found = await damageAt(facts, place)
    assert.deepEqual([found?.kind, found?.repository, found?.digest], ['revision', repository, undefined])
    assert.match(found?.detail ?? '', /symbolic link/)
    assert.ok(read.damages.some((each) => each.startsWith(`${place}: `)))
  })
}

test('a file in the place of such a folder may hide facts, other files may not', async (t) => {
  const { driver } = await onDisk(t)
  for (const key of ['new/_manifests', 'notes.txt', 'team/app/notes', 'team/app/_manifests/x']) {
    await driver.write(`${layout.repositories}/${key}` as ObjectKey, Buffer.from('x'))
  }
  const read = await readWithout(t, driver)
  await read.run()
  assert.equal(await hiddenIn(read.parts.facts), `${layout.repositories}/new/_manifests`)
  const kinds = (await read.parts.facts.read.damages.page('', 100)).map(({ kind }) => kind)
  assert.deepEqual(kinds.toSorted(), ['revision', 'stray', 'stray', 'stray'])
})

test('a link of the system in the place of one digest is damage of that digest, and hides no other', async (t) => {
  const { driver, image, move } = await onDisk(t)
  const folders = [layout.layer(name, image.layer), layout.revision(name, image.digest)].map((key) => key.slice(0, -5))
  for (const folder of folders) move(folder)
  const read = await readWithout(t, driver)
  await read.run()
  assert.equal(await hiddenIn(read.parts.facts), undefined)
  const found = await Promise.all(folders.map((folder) => damageAt(read.parts.facts, folder)))
  assert.deepEqual(
    found.map((each) => [each?.kind, each?.digest]),
    [
      ['link', image.layer],
      ['revision', image.digest],
    ],
  )
})

test('what is a folder again is read when all is read anew, and hides nothing any more', async (t) => {
  const { driver, image, move, moveBack } = await onDisk(t)
  move(layout.repository(name))
  const read = await readWithout(t, driver)
  await read.run()
  moveBack(layout.repository(name))
  await read.parts.facts.write((changed) => beginAdoption(changed, 'asked for'))
  const next = await adopterOf(read.local, driver)
  await next.run()
  assert.equal(await hiddenIn(next.parts.facts), undefined)
  assert.deepEqual(await next.parts.facts.read.damages.page('', 10), [])
  assert.equal((await next.repository(name).manifests.get({ tag: tagOf('latest') })).digest, image.digest)
})

test('a repository that is known and became a link of the system may hide facts after reading all anew', async (t) => {
  const { driver, local, move } = await onDisk(t)
  move(layout.repository(name))
  await local.parts.facts.write((changed) => beginAdoption(changed, 'asked for'))
  const read = await adopterOf(local, driver)
  await read.run()
  assert.equal(await hiddenIn(read.parts.facts), layout.repository(name))
  assert.equal((await damageAt(read.parts.facts, layout.repository(name)))?.kind, 'revision')
})

test('the walk after a start sees such a place come and go', async (t) => {
  const { driver, local, image, move, moveBack } = await onDisk(t)
  const compare = async () => {
    const read = await adopterOf(local, driver)
    const { settler } = read.local.parts
    const comparer = createComparer({ ...read.parts, settler, adopter: read.adopter })
    await comparer.run(new AbortController().signal, () => {})
    return read
  }
  for (const place of [layout.repository(name), layout.tags(name)]) {
    move(place)
    assert.equal(await hiddenIn((await compare()).parts.facts), place)
    assert.equal((await damageAt(local.parts.facts, place))?.kind, 'revision')
    moveBack(place)
    const read = await compare()
    assert.equal(await hiddenIn(read.parts.facts), undefined)
    assert.equal((await read.repository(name).manifests.get({ tag: tagOf('latest') })).digest, image.digest)
  }
})

test('a volume whose folders are links of the system is one that another registry wrote', async (t) => {
  for (const key of [layout.repositories, layout.blobs, `${layout.repositories}/app`]) {
    const root = scratchFolder(t)
    fs.mkdirSync(join(root, key, '..'), { recursive: true })
    fs.symlinkSync(scratchFolder(t), join(root, key))
    const driver = new FilesystemDriver(root)
    const local = await openStore(t, driver)
    await takeOwnership(driver, local.parts.facts)
    const read = await adopterOf(local, driver)
    assert.equal(read.adopter.status().reason, 'another registry wrote this volume')
    await read.run()
    assert.equal(await hiddenIn(local.parts.facts), key, digestOf(Buffer.from(key)))
  }
})
