import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newUploadId } from '../../oci/name.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { layout } from '../../storage/layout.ts'
import { digestFor, nameOf } from '../contracts/facts-tools.ts'
import {
  type CollectingWorld,
  collecting,
  day,
  hour,
  openWorld,
  pushArtifact,
  pushBlob,
  pushImage,
  pushIndex,
  stubbornDriver,
} from './collecting.ts'

const has = ({ repository }: CollectingWorld, digest: ReturnType<typeof digestFor>) =>
  repository.manifests.get({ digest }).then(
    () => true,
    () => false,
  )

describe('what points to a manifest that was deleted', () => {
  test('follows it into the trash when the grace is over', () =>
    collecting(async (world) => {
      const { repository, wait, collect, trash } = world
      const { digest: subject } = await pushImage(repository, 'v1')
      const signature = await pushArtifact(repository, { subject, title: 'signature' })
      wait(2 * day)
      await repository.manifests.delete({ digest: subject })
      wait(day - 1)
      assert.equal((await collect()).trashed, 0)
      wait(1)
      assert.equal((await collect()).trashed, 1)
      assert.equal(await has(world, signature), false)
      const entry = (await trash.listTrash({ limit: 9 })).entries.find((each) => each.digest === signature)
      assert.match(entry?.reason ?? '', /to which it points, was deleted/)
    }))

  test('stays where it is tagged, listed, or its subject came back', () =>
    collecting(async (world) => {
      const { repository, wait, collect } = world
      const { digest: subject } = await pushImage(repository, 'v1')
      const listed = await pushArtifact(repository, { subject, title: 'listed' })
      await pushIndex(repository, { manifests: [listed], tags: ['all'] })
      await repository.manifests.delete({ digest: subject })
      wait(2 * day)
      assert.equal((await collect()).trashed, 0)
      assert.equal(await has(world, listed), true)
      const loose = await pushArtifact(repository, { subject, title: 'loose' })
      await pushImage(repository, 'v1')
      wait(30 * day)
      assert.equal((await collect()).trashed, 0)
      assert.equal(await has(world, loose), true)
    }))

  test('is given the grace where it was pushed afterwards', () =>
    collecting(async (world) => {
      const { repository, wait, collect } = world
      const { digest: subject } = await pushImage(repository, 'v1')
      await pushArtifact(repository, { subject, title: 'early' })
      await repository.manifests.delete({ digest: subject })
      wait(20 * hour)
      const late = await pushArtifact(repository, { subject, title: 'late' })
      wait(10 * hour)
      assert.equal((await collect()).trashed, 1)
      assert.equal(await has(world, late), true)
      wait(day)
      assert.equal((await collect()).trashed, 1)
      assert.equal(await has(world, late), false)
    }))

  test('stays for ever where the subject was only never pushed', () =>
    collecting(async (world) => {
      const signature = await pushArtifact(world.repository, { subject: digestFor('not yet'), title: 'early bird' })
      world.wait(400 * day)
      const report = await world.collect()
      assert.equal(report.trashed + report.freedBlobs, 0)
      assert.equal(await has(world, signature), true)
    }))
})

describe('an index', () => {
  test('keeps its children, and layers that it lists itself', () =>
    collecting(async (world) => {
      const { repository, wait, collect } = world
      const child = await pushArtifact(repository, { title: 'child' })
      const layer = await pushBlob(repository, 'cache')
      await pushIndex(repository, { manifests: [child], layers: [layer], tags: ['cache'] })
      wait(400 * day)
      const report = await collect({ deleteUntagged: true, purgeTrash: true })
      assert.equal(report.trashed + report.freedBlobs + report.unlinked, 0)
      assert.equal(await has(world, child), true)
      await repository.blobs.stat(layer)
    }))

  test('that nobody can name goes with its children, and with what points to them', () =>
    collecting(async (world) => {
      const { repository, wait, collect, trash } = world
      const child = await pushArtifact(repository, { title: 'child' })
      const shared = await pushArtifact(repository, { title: 'shared' })
      const signature = await pushArtifact(repository, { subject: child, title: 'signature' })
      const index = await pushIndex(repository, { manifests: [child, shared] })
      await pushIndex(repository, { manifests: [shared], tags: ['kept'] })
      wait(2 * day)
      const report = await collect({ deleteUntagged: true })
      assert.equal(report.trashed, 3)
      assert.deepEqual(await Promise.all([child, signature, index, shared].map((each) => has(world, each))), [
        false,
        false,
        false,
        true,
      ])
      assert.equal((await trash.listTrash({ limit: 9 })).entries.length, 3)
    }))
})

describe('a collection', () => {
  test('goes on where exactly a tenth was asked for by nobody, and pauses for a byte more', async () => {
    const unasked = async (more: number, layerLength: number) => {
      const seen = { total: 0, paused: false }
      await collecting(async ({ repository, wait, collect, parts }) => {
        await pushIndex(repository, { layers: [await pushBlob(repository, 'x'.repeat(layerLength))], tags: ['v1'] })
        seen.total = (await parts.facts.read.collection.totals()).bytes
        await pushBlob(repository, 'y'.repeat(Math.floor(seen.total / 9) + more))
        wait(2 * day)
        seen.paused = (await collect({ confirmed: false })).paused !== undefined
      })
      return seen
    }
    const length = 9000 - ((await unasked(0, 9000)).total % 9)
    assert.deepEqual(await unasked(0, length), { total: (await unasked(1, length)).total, paused: false })
    const { total, paused } = await unasked(1, length)
    assert.equal(total % 9, 0)
    assert.equal(paused, true)
  })

  test('is refused while the volume is still being read', () =>
    collecting(
      async ({ repository, collect, wait }) => {
        await pushBlob(repository, 'nobody wants me')
        wait(2 * day)
        await assert.rejects(collect(), { name: 'NotCollected', message: /still being read/ })
        await assert.rejects(collect({ dryRun: true }), { name: 'NotCollected' })
      },
      { adoption: { ...allAdopted, complete: false } },
    ))

  test('counts what could not be deleted, and deletes it when that is possible', () => {
    const stubborn = stubbornDriver()
    return collecting(
      async ({ repository, collect, wait, isStored, errors }) => {
        const blob = await pushBlob(repository, 'nobody wants me')
        wait(2 * day)
        const failed = await collect()
        assert.deepEqual([failed.failed, failed.freedBlobs, errors.length], [1, 0, 1])
        assert.equal(await isStored(blob), true)
        stubborn.broken = false
        assert.equal((await collect()).freedBlobs, 0, 'the claim of the first run must end before')
        wait(121_000)
        assert.equal((await collect()).freedBlobs, 1)
        assert.equal(await isStored(blob), false)
      },
      { driver: stubborn.driver },
    )
  })

  test('frees what a manifest push left that ended between its bytes and its record', () =>
    collecting(async ({ parts, now, wait, collect }) => {
      const bytes = Buffer.from('a manifest that was never recorded')
      const digest = digestFor(String(bytes))
      const row = { id: newUploadId(), repository: nameOf('a/b'), state: 'committing', stage: '', version: 0 } as const
      await parts.facts.write((changed) =>
        changed.uploads.add({ ...row, algorithm: 'sha256', committing: digest, updatedAt: now() }),
      )
      await parts.driver.write(layout.blob(digest), bytes)
      wait(10 * 60_000 - 1)
      assert.equal((await collect()).freedBlobs, 0)
      wait(2)
      assert.equal((await collect()).freedBlobs, 1)
      assert.equal(await parts.driver.stat(layout.blob(digest)), undefined)
      assert.deepEqual(await parts.facts.read.uploads.idle('committing', Number.MAX_SAFE_INTEGER, 10), [])
    }))
})

test('a push that was never finished is freed although a collector claimed its bytes and gave up', async () => {
  const stubborn = stubbornDriver()
  const world = await openWorld({ driver: stubborn.driver, graceMs: 0, trashMs: 0 })
  try {
    const digest = await pushBlob(world.repository, 'bytes')
    await world.collect()
    stubborn.broken = false
    const { facts, driver } = world.parts
    assert.ok((await facts.read.collection.find(digest))?.condemnedUntil, 'claimed, and not deleted')
    const row = {
      id: newUploadId(),
      repository: nameOf('a/b'),
      state: 'committing',
      stage: '',
      version: 0,
      algorithm: 'sha256',
    } as const
    await facts.write((changed) => changed.uploads.add({ ...row, committing: digest, updatedAt: world.now() }))
    world.wait(11 * 60_000)
    for (let run = 0; run < 3; run++) {
      await world.collect()
      world.wait(11 * 60_000)
    }
    assert.equal(await driver.stat(layout.blob(digest)), undefined)
  } finally {
    await world.local.close()
  }
})

test('a push that has stored nothing yet is not given up, and its bytes are freed when it fails after all', async () => {
  const world = await openWorld({ graceMs: 0, trashMs: 0 })
  try {
    const { facts, driver } = world.parts
    const digest = digestFor('late')
    const row = {
      id: newUploadId(),
      repository: nameOf('a/b'),
      state: 'committing',
      stage: '',
      version: 0,
      algorithm: 'sha256',
    } as const
    await facts.write((changed) => changed.uploads.add({ ...row, committing: digest, updatedAt: world.now() }))
    world.wait(hour)
    await world.collect()
    await driver.write(layout.blob(digest), Buffer.from('late'))
    await world.collect()
    await world.collect()
    assert.equal(await driver.stat(layout.blob(digest)), undefined)
    assert.equal(await facts.read.uploads.find(row.id), undefined)
  } finally {
    await world.local.close()
  }
})
