import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { allAdopted } from '../../registry/adoption.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { layout } from '../../storage/layout.ts'
import { NotBackedUp } from '../../upkeep/backup/backup.ts'
import { createVerifier } from '../../upkeep/verify/verify.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { createClient } from '../support/client.ts'
import { startTestRegistry } from '../support/test-registry.ts'
import { openBackedUp } from './backup-world.ts'
import { pushBlob, pushImage } from './collecting.ts'

const name = nameOf('a/b')

test('a backup is a store of its own, which is served like the one it was made of', async (t) => {
  const store = await openBackedUp(t)
  const large = 'x'.repeat(2_500_000)
  const layers = [await pushBlob(store.repository, 'layer'), await pushBlob(store.repository, large)]
  const { digest } = await pushImage(store.repository, 'v1', layers)
  const report = await store.backUp()
  assert.deepEqual([report.blobs, report.kept, report.links], [4, 0, 6])
  assert.equal(store.copied(layout.store), store.read(layout.store))
  assert.equal(store.copied('berth/backup.json'), undefined)
  const registry = await startTestRegistry({}, store.target)
  t.after(() => registry.stop())
  const client = createClient(registry.url)
  assert.equal((await client.getManifest('a/b', 'v1')).headers['docker-content-digest'], digest)
  assert.equal((await client.getBlob('a/b', layers[1]!)).bytes.toString(), large)
  assert.equal(
    registry.logged.some((line) => line.includes('copy')),
    false,
  )
  await registry.stop()
  await assert.rejects(store.backUp(), /was served since it was written/)
})

test('a backup has everything in place: verifying it finds nothing', async (t) => {
  const store = await openBackedUp(t)
  const { digest } = await pushImage(store.repository, 'v1', [await pushBlob(store.repository, 'layer')])
  await pushImage(store.repository, 'v2')
  await store.repository.manifests.delete({ digest })
  await store.backUp()
  const facts = await store.openCopy()
  const driver = new FilesystemDriver(store.target)
  const report = await createVerifier({ ...store.parts, facts, driver, onDamage: () => {} }).verify({}, () => {})
  assert.deepEqual(report.findings, [])
  assert.ok(report.links > 5)
})

test('what was under way is not in a backup, and it counts as come to rest', async (t) => {
  const store = await openBackedUp(t)
  await store.repository.uploads.start()
  await store.parts.facts.write(async (changed) => {
    await changed.owed.add('some key', 1, 1)
    await changed.store.set('place', 'elsewhere')
  })
  await store.backUp()
  const facts = await store.openCopy()
  assert.equal(await facts.read.store.get('clean'), 'yes')
  assert.equal(await facts.read.store.get('place'), undefined)
  assert.equal(await facts.read.owed.count(), 0)
  assert.deepEqual(await facts.read.uploads.idle('receiving', Number.MAX_SAFE_INTEGER, 10), [])
  assert.equal(await store.parts.facts.read.owed.count(), 1)
})

test('an older backup is brought up to date: what is there stays, what is new comes, what is gone goes', async (t) => {
  const store = await openBackedUp(t)
  const layer = await pushBlob(store.repository, 'layer')
  const old = await pushImage(store.repository, 'old', [layer])
  await pushImage(store.repository, 'moves', [layer], 'before')
  await store.backUp()
  const moved = await pushImage(store.repository, 'moves', [layer], 'after')
  await store.parts.facts.write(async (changed) => {
    const { id } = (await changed.repositories.find(name))!
    await changed.manifests.untag(id, old.digest)
    await changed.manifests.delete(id, old.digest)
    await changed.blobs.unlink(id, old.config)
    for (const digest of [old.digest, old.config]) {
      await changed.collection.condemn(digest, 10, 1)
      await changed.collection.forget(digest, 10)
    }
  })
  const report = await store.backUp()
  assert.deepEqual([report.blobs, report.kept], [2, 3])
  assert.equal(store.copied(layout.tagCurrent(name, tagOf('moves'))), moved.digest)
  for (const key of [
    layout.tagCurrent(name, tagOf('old')),
    layout.revision(name, old.digest),
    layout.blob(old.config),
  ]) {
    assert.equal(store.copied(key), undefined, key)
  }
})

test('a backup that was cut off is none, and the next run completes it without trusting what it finds', async (t) => {
  const store = await openBackedUp(t)
  const layer = await pushBlob(store.repository, 'layer')
  await pushImage(store.repository, 'v1', [layer])
  await store.backUp()
  const abort = new AbortController()
  const openTarget = async (folder: string) => {
    const target = new FilesystemDriver(folder)
    const write = target.write.bind(target)
    target.write = (...written) => {
      abort.abort(new Error('cut off'))
      return write(...written)
    }
    return target
  }
  await assert.rejects(store.backUp({ openTarget }, store.target, abort.signal), /cut off/)
  assert.equal(store.copied(layout.store), undefined)
  fs.writeFileSync(store.at(layout.blob(layer)), '\0\0\0\0\0')
  const report = await store.backUp()
  assert.deepEqual([report.blobs, report.kept], [1, 2])
  assert.equal(store.copied(layout.blob(layer)), 'layer')
  assert.notEqual(store.copied(layout.store), undefined)
})

test('damaged bytes are named and left out; an older backup that has them whole keeps them', async (t) => {
  const store = await openBackedUp(t)
  const [kept, lost] = [await pushBlob(store.repository, 'kept'), await pushBlob(store.repository, 'gone at once')]
  store.put(layout.blob(lost), 'other bytes!')
  await store.backUp()
  assert.deepEqual(store.damaged, [layout.blob(lost)])
  assert.equal(store.copied(layout.blob(lost)), undefined)
  store.put(layout.blob(kept), 'KEPT')
  await store.parts.facts.write((changed) => changed.collection.markDamaged(kept, 1))
  await store.backUp()
  assert.equal(store.copied(layout.blob(kept)), 'kept')
  const facts = await store.openCopy()
  assert.equal((await facts.read.collection.find(kept))?.damagedAt, undefined)
  assert.notEqual((await facts.read.collection.find(lost))?.damagedAt, undefined)
})

test('a folder that holds something else is refused and stays as it is', async (t) => {
  const store = await openBackedUp(t)
  await pushImage(store.repository, 'v1')
  fs.mkdirSync(store.target)
  fs.writeFileSync(store.at('thesis.txt'), 'mine')
  await assert.rejects(store.backUp(), (error) => error instanceof NotBackedUp && /is not empty/.test(error.message))
  assert.deepEqual(fs.readdirSync(store.target), ['thesis.txt'])
  const other = await openBackedUp(t)
  await other.backUp()
  await assert.rejects(store.backUp({}, other.target), /a backup of another store/)
})

test('the store itself, a folder inside it, and one around it are refused', async (t) => {
  const store = await openBackedUp(t)
  const link = `${store.root}-link`
  fs.symlinkSync(store.root, link)
  t.after(() => fs.rmSync(link))
  for (const folder of [store.root, join(store.root, 'backup'), join(link, 'backup'), '/', join(store.root, '..')]) {
    await assert.rejects(store.backUp({}, folder), NotBackedUp, folder)
  }
  assert.equal(fs.existsSync(join(store.root, 'backup')), false)
})

test('nothing is collected while a backup is made, and none is made while something is collected', async (t) => {
  const store = await openBackedUp(t)
  const { locks } = store.parts
  await locks.hold('collector', { when: 'wait' }, () => assert.rejects(store.backUp(), NotBackedUp))
  let wasHeld = false
  const openTarget = async (folder: string) => {
    wasHeld = await locks.isHeld('collector')
    return new FilesystemDriver(folder)
  }
  await store.backUp({ openTarget })
  assert.equal(wasHeld, true)
  assert.equal(await locks.isHeld('collector'), false)
  await assert.rejects(store.backUp({ adoption: { ...allAdopted, complete: false } }), NotBackedUp)
})

test('what was acknowledged before a backup began is in it, whatever is pushed meanwhile', async (t) => {
  const store = await openBackedUp(t)
  const digests = []
  for (let n = 0; n < 20; n++) digests.push((await pushImage(store.repository, `v${n}`)).digest)
  let pushing = true
  const pushes = (async () => {
    for (let n = 0; pushing; n++) await pushImage(store.repository, `later-${n}`)
  })()
  await store.backUp()
  pushing = false
  await pushes
  const facts = await store.openCopy()
  const driver = new FilesystemDriver(store.target)
  const report = await createVerifier({ ...store.parts, facts, driver, onDamage: () => {} }).verify({}, () => {})
  assert.deepEqual(report.findings, [])
  for (const digest of digests) assert.ok(await facts.read.manifests.find(name, digest))
})
