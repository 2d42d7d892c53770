import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import { allAdopted } from '../../registry/adoption.ts'
import { layout } from '../../storage/layout.ts'
import { NotVerified } from '../../upkeep/verify/verify.ts'
import { digestFor, nameOf, tagOf } from '../contracts/facts-tools.ts'
import { pushBlob, pushImage } from './collecting.ts'
import { openVerified } from './verify-world.ts'

function replaceByLink(path: string, target: string): void {
  fs.rmSync(path)
  fs.symlinkSync(target, path)
}

const flip = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => byte ^ 1))

test('a store in which all is well has no findings', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'a layer')
  await pushImage(store.repository, 'v1', [layer])
  await pushBlob(store.repository, 'x'.repeat(3_000_000))
  const report = await store.verify()
  assert.deepEqual(report.findings, [])
  assert.deepEqual([report.blobs, report.links, report.found, report.resumed], [4, 6, 0, false])
  assert.equal(report.bytes, 3_000_000 + 7 + Buffer.byteLength('config of v1') + (await manifestSize(store)))
})

async function manifestSize({ repository }: Awaited<ReturnType<typeof openVerified>>): Promise<number> {
  return (await repository.manifests.get({ tag: tagOf('v1') })).bytes.length
}

for (const [what, damage] of [
  ['other bytes of the same length', (path: string) => fs.writeFileSync(path, flip(fs.readFileSync(path)))],
  ['bytes that were cut off', (path: string) => fs.truncateSync(path, 3)],
  ['no bytes', (path: string) => fs.truncateSync(path, 0)],
  ['more bytes', (path: string) => fs.appendFileSync(path, 'more')],
  ['no file', (path: string) => fs.rmSync(path)],
  ['a symbolic link to a folder', (path: string) => replaceByLink(path, '/etc')],
  ['a symbolic link', (path: string) => replaceByLink(path, '/etc/passwd')],
] as const) {
  test(`a blob with ${what} is named with whom it hurts, answers 404, and a push heals it`, async (t) => {
    const store = await openVerified(t)
    const content = 'x'.repeat(300_000)
    const layer = await pushBlob(store.repository, content)
    await pushImage(store.repository, 'v1', [layer])
    await store.settle()
    damage(store.pathOf(layout.blob(layer)))
    const report = await store.verify()
    assert.equal(report.found, 1)
    const [finding] = report.findings
    assert.deepEqual([finding?.key, finding?.digest, finding?.usedBy], [layout.blob(layer), layer, ['a/b:v1']])
    await assert.rejects(store.repository.blobs.stat(layer), { failure: 'blob-unknown' })
    await assert.rejects(store.repository.blobs.open(layer), { failure: 'blob-unknown' })
    assert.deepEqual(
      (await store.damages()).map((row) => [row.key, row.kind]),
      [[layout.blob(layer), 'content']],
    )
    assert.equal((await store.verify()).found, 1, 'it is told as long as it is so')
    await pushBlob(store.repository, content)
    assert.equal((await store.repository.blobs.stat(layer)).size, 300_000)
    assert.deepEqual((await store.verify()).findings, [])
    assert.deepEqual(await store.damages(), [])
  })
}

test('a manifest that is kept in memory is not told any more when its file was damaged', async (t) => {
  const store = await openVerified(t)
  const { digest } = await pushImage(store.repository, 'v1')
  await store.repository.manifests.get({ tag: tagOf('v1') })
  const path = store.pathOf(layout.blob(digest))
  fs.writeFileSync(path, flip(fs.readFileSync(path)))
  const report = await store.verify()
  assert.deepEqual(
    report.findings.map((each) => [each.key, each.usedBy]),
    [[layout.blob(digest), ['a/b:v1']]],
  )
  await assert.rejects(store.repository.manifests.get({ tag: tagOf('v1') }), { failure: 'manifest-unknown' })
  await pushImage(store.repository, 'v1')
  assert.equal((await store.repository.manifests.get({ tag: tagOf('v1') })).digest, digest)
})

test('a damaged blob whose file was put back is served again after the next run', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'precious')
  await pushImage(store.repository, 'v1', [layer])
  const path = store.pathOf(layout.blob(layer))
  fs.writeFileSync(path, 'PRECIOUS')
  await store.verify()
  await assert.rejects(store.repository.blobs.stat(layer), { failure: 'blob-unknown' })
  fs.writeFileSync(path, 'precious')
  assert.deepEqual((await store.verify()).findings, [])
  assert.equal((await store.repository.blobs.stat(layer)).size, 8)
  assert.deepEqual(await store.damages(), [])
})

test('a size in SQL that is not that of whole bytes is named, and corrected by a repair', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'eight by')
  await store.parts.facts.write((changed) => changed.collection.markWhole(layer, 5))
  const found = await store.verify()
  assert.deepEqual([found.found, found.repaired], [1, 0])
  assert.match(found.findings[0]?.detail ?? '', /is whole with 8 bytes, and the database says 5/)
  const repaired = await store.verify({ repair: true })
  assert.deepEqual([repaired.found, repaired.repaired], [1, 1])
  assert.equal((await store.repository.blobs.stat(layer)).size, 8)
  assert.equal((await store.verify()).found, 0)
})

test('bytes that no row names are named; a repair records them for the collector to look at', async (t) => {
  const store = await openVerified(t)
  const bytes = 'nobody knows me'
  const digest = digestOf(Buffer.from(bytes))
  store.put(layout.blob(digest), bytes)
  const found = await store.verify()
  assert.deepEqual(
    found.findings.map((each) => [each.key, each.repaired]),
    [[layout.blob(digest), false]],
  )
  assert.equal(await store.parts.facts.read.collection.find(digest), undefined)
  assert.equal((await store.verify({ repair: true })).repaired, 1)
  assert.equal((await store.parts.facts.read.collection.find(digest))?.size, bytes.length)
  const [review] = await store.parts.facts.read.reviews.due(Number.MAX_SAFE_INTEGER, undefined, 10)
  assert.deepEqual([review?.digest, review?.reason], [digest, 'unknown'])
  assert.equal((await store.verify()).found, 0)
})

test('an empty file under a digest is removed by a repair, so that an old registry takes a push', async (t) => {
  const store = await openVerified(t)
  const unknown = digestFor('x')
  const known = await pushBlob(store.repository, 'known')
  for (const digest of [unknown, known]) store.put(layout.blob(digest), '')
  assert.equal((await store.verify()).found, 2)
  assert.equal(store.read(layout.blob(unknown)), '')
  const report = await store.verify({ repair: true })
  assert.deepEqual([report.found, report.repaired], [2, 1])
  assert.equal(store.read(layout.blob(unknown)), undefined)
  assert.equal(store.read(layout.blob(known)), undefined)
  await pushBlob(store.repository, 'known')
  assert.equal((await store.verify()).found, 0)
})

test('temporary files that nobody writes any more are removed by a repair, and younger ones are left alone', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const folder = layout.blob(layer).slice(0, -'/data'.length)
  const [old, young] = [`${folder}/old.tmp`, `${folder}/young.tmp`]
  for (const key of [old, young]) store.put(key, 'half')
  const before = new Date(Date.now() - 2 * 3_600_000)
  fs.utimesSync(store.pathOf(old), before, before)
  assert.deepEqual(
    (await store.verify()).findings.map((each) => each.key),
    [old],
  )
  const report = await store.verify({ repair: true })
  assert.deepEqual([report.found, report.repaired], [1, 1])
  assert.deepEqual([store.read(old), store.read(young)], [undefined, 'half'])
  assert.deepEqual(await store.damages(), [])
})

test('what has no place is named and left, and forgotten when it is gone', async (t) => {
  const store = await openVerified(t)
  const strays = [`${layout.blobs}/md5/x`, `${layout.blobs}/sha256/zz`, `${layout.blobs}/sha256/ab/readme`]
  for (const key of strays) store.put(key, 'stray')
  const report = await store.verify({ repair: true })
  assert.deepEqual(
    report.findings.map((each) => each.key).toSorted(),
    [`${layout.blobs}/md5`, strays[1], strays[2]].toSorted() as string[],
  )
  assert.equal(report.repaired, 0)
  for (const key of strays) assert.equal(store.read(key), 'stray')
  for (const key of report.findings.map((each) => each.key)) store.remove(key)
  assert.equal((await store.verify()).found, 0)
  assert.deepEqual(await store.damages(), [])
})

test('a run that was cut off goes on where it was, and tells what it had found', async (t) => {
  const store = await openVerified(t)
  const contents = Array.from({ length: 450 }, (_, n) => Buffer.from(`blob ${n}`))
  const digests = contents.map((content) => digestOf(content))
  for (const [n, digest] of digests.entries()) store.put(layout.blob(digest), contents[n]!)
  await store.parts.facts.write(async (changed) => {
    for (const [n, digest] of digests.entries()) await changed.blobs.add(digest, contents[n]!.length, 1)
  })
  digests.sort()
  store.put(layout.blob(digests[3]!), 'other')
  store.put(layout.blob(digests[440]!), 'other')
  const abort = new AbortController()
  let read = 0
  let now = Date.now()
  const driver = new Proxy(store.driver, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name)
      if (name !== 'open' || typeof value !== 'function') return typeof value === 'function' ? value.bind(of) : value
      return (key: never) => {
        now += 1000
        if (++read === 300) abort.abort(new Error('cut off'))
        return of.open(key)
      }
    },
  })
  await assert.rejects(store.verifyWith({ driver, clock: () => now }, {}, abort.signal), /cut off/)
  const report = await store.verify()
  assert.equal(report.resumed, true)
  assert.deepEqual(
    report.findings.map((each) => each.key),
    [layout.blob(digests[3]!), layout.blob(digests[440]!)],
  )
  assert.equal(report.blobs, 450)
  assert.equal((await store.verify()).resumed, false)
})

test('a run that is asked to be fresh begins at the beginning, and so does a repair after a run that only looked', async (t) => {
  const store = await openVerified(t)
  const cutOff = JSON.stringify({ phase: 'damages', after: '', counts: {}, found: 0, repaired: 0, repair: false })
  const layer = await pushBlob(store.repository, 'layer')
  store.put(layout.blob(layer), 'other')
  for (const options of [{ fresh: true }, { repair: true }]) {
    await store.parts.facts.write((changed) => changed.store.set('verify', cutOff))
    const report = await store.verify(options)
    assert.deepEqual([report.resumed, report.found], [false, 1])
  }
})

test('of very many findings a thousand are kept by name, and all are counted', async (t) => {
  const store = await openVerified(t)
  for (let n = 0; n < 1010; n++) store.put(layout.blob(digestFor(`${n}`)), 'x')
  const report = await store.verify()
  assert.deepEqual([report.found, report.findings.length], [1010, 1000])
})

test('a limit of speed is kept', async (t) => {
  const store = await openVerified(t)
  await pushBlob(store.repository, 'x'.repeat(1_000_000))
  const began = performance.now()
  assert.equal((await store.verify({ bytesPerSecond: 2_500_000 })).found, 0)
  assert.ok(performance.now() - began > 300, 'it read faster than it may')
})

test('only one run is under way at a time, and none before the volume is read', async (t) => {
  const store = await openVerified(t)
  const both = await Promise.allSettled([store.verify(), store.verify()])
  const refused = both.filter((each) => each.status === 'rejected')
  assert.equal(refused.length, 1)
  assert.ok(refused[0]?.reason instanceof NotVerified)
  await assert.rejects(store.verifyWith({ adoption: { ...allAdopted, complete: false } }), NotVerified)
})

test('a push that heals bytes while they are read is not undone', async (t) => {
  const store = await openVerified(t)
  const content = 'y'.repeat(500_000)
  const layer = await pushBlob(store.repository, content)
  store.put(layout.blob(layer), 'z'.repeat(500_000))
  let pushed = false
  const driver = new Proxy(store.driver, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name)
      if (name !== 'open' || typeof value !== 'function') return typeof value === 'function' ? value.bind(of) : value
      return async (key: never) => {
        const object = await of.open(key)
        if (!pushed) {
          pushed = true
          await pushBlob(store.repository, content)
        }
        return object
      }
    },
  })
  assert.deepEqual((await store.verifyWith({ driver })).findings, [])
  assert.equal((await store.repository.blobs.stat(layer)).size, 500_000)
})

test('bytes that the disk cannot read any more are damaged, and those that nobody may read are not', async (t) => {
  const store = await openVerified(t)
  const layer = await pushBlob(store.repository, 'layer')
  const failing = (code: string) =>
    new Proxy(store.driver, {
      get(of, name) {
        const value: unknown = Reflect.get(of, name)
        if (name !== 'open') return typeof value === 'function' ? value.bind(of) : value
        return () => Promise.reject(Object.assign(new Error(code), { code }))
      },
    })
  await assert.rejects(store.verifyWith({ driver: failing('EACCES') }), /EACCES/)
  assert.equal((await store.repository.blobs.stat(layer)).size, 5)
  const report = await store.verifyWith({ driver: failing('EIO') })
  assert.deepEqual(
    report.findings.map((each) => each.key),
    [layout.blob(layer), layout.repository(nameOf('a/b'))],
  )
  for (const { detail } of report.findings) assert.match(detail, /cannot be read \(EIO\)/)
  await assert.rejects(store.repository.blobs.stat(layer), { failure: 'blob-unknown' })
  assert.deepEqual((await store.verify()).findings, [])
  assert.equal((await store.repository.blobs.stat(layer)).size, 5)
})
