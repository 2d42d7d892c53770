/** A disk that has lost single files and folders. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { hexOf } from '../../oci/digest.ts'
import { isFailure } from '../../oci/failure.ts'
import type { ObjectKey, StorageDriver } from '../../storage/driver.ts'
import { MemoryDriver } from '../../storage/drivers/memory.ts'
import { layout } from '../../storage/layout.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { beginAdoption } from '../../upkeep/adopt/phase.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import type { LocalRegistry } from '../contracts/local-registry.ts'
import { pushImage } from '../contracts/push.ts'
import { adopterOf, openStore, type Read, readWithout, settled } from './adopt-world.ts'

const name = nameOf('team/app')
const other = nameOf('team/other')

async function withImages(t: TestContext) {
  const driver = new MemoryDriver()
  const local = await openStore(t, driver)
  const image = await pushImage(local.repository(name), 'latest')
  await pushImage(local.repository(other), 'latest', 'another')
  await settled(local)
  return { driver, local, image }
}

/** Whoever opens this object, or lists this folder, is told so. */
function losing(inner: StorageDriver, lost: ObjectKey, code: string): StorageDriver {
  const failing = (key: ObjectKey) => {
    if (key === lost) throw Object.assign(new Error(`${code}: on purpose`), { code })
  }
  return Object.assign(Object.create(inner) as StorageDriver, {
    open: async (key: ObjectKey) => {
      failing(key)
      return inner.open(key)
    },
    async *children(prefix: ObjectKey) {
      failing(prefix)
      yield* inner.children(prefix)
    },
  })
}

async function rowsOf({ parts }: Read) {
  return (await parts.facts.read.damages.page('', 100)).map(({ key, kind, digest, detail }) => {
    return { key: key.replace(`${layout.repositories}/`, ''), kind, digest, detail }
  })
}

const compare = async (local: LocalRegistry, driver: StorageDriver) => {
  const read = await adopterOf(local, driver)
  const comparer = createComparer({ ...read.parts, settler: read.local.parts.settler, adopter: read.adopter })
  await comparer.run(new AbortController().signal, () => {})
  return read
}

test('a link file that cannot be read is damage, and all else is read', async (t) => {
  const { driver, image } = await withImages(t)
  const hex = hexOf(image.digest)
  const cases = [
    [layout.layer(name, image.layer), 'link', image.layer],
    [layout.revision(name, image.digest), 'revision', image.digest],
    [layout.tagCurrent(name, tagOf('latest')), 'tag', undefined],
    [layout.tagIndex(name, tagOf('latest'), image.digest), 'tag', image.digest],
    [`${layout.revisions(name)}/sha256/${hex}` as ObjectKey, 'revision', image.digest],
    [`${layout.tags(name)}/latest` as ObjectKey, 'tag', undefined],
    [layout.revisions(name), 'revision', undefined],
    [layout.layers(name), 'revision', undefined],
    [layout.repository(name), 'revision', undefined],
  ] as const
  for (const [lost, kind, digest] of cases) {
    const read = await readWithout(t, losing(driver, lost, 'EIO'))
    await read.run()
    assert.deepEqual(read.errors, [], lost)
    const key = lost.replace(`${layout.repositories}/`, '')
    const row = (await rowsOf(read)).find((each) => each.key === key)
    assert.deepEqual([row?.kind, row?.digest], [kind, digest], lost)
    assert.match(row?.detail ?? '', /^cannot be read \(EIO\)/)
    assert.deepEqual((await read.repository(other).tags.list({ limit: 10 })).entries, ['latest'])
    const hides = kind === 'revision' && digest === undefined
    assert.equal(await read.parts.facts.read.store.get('hidden'), hides ? lost : undefined)
  }
})

test('a manifest whose bytes cannot be read is damage, and all else is read', async (t) => {
  const { driver, image } = await withImages(t)
  const read = await readWithout(t, losing(driver, layout.blob(image.digest), 'EBADMSG'))
  await read.run()
  assert.deepEqual(read.errors, [])
  const row = (await rowsOf(read)).find(({ kind }) => kind === 'manifest')
  assert.equal(row?.digest, image.digest)
  assert.match(row?.detail ?? '', /cannot be read \(EBADMSG\)/)
  await assert.rejects(read.repository(name).manifests.get({ digest: image.digest }), (error) =>
    isFailure(error, 'manifest-unknown'),
  )
})

test('a folder of names, or of bytes, that cannot be read keeps nothing else from being read', async (t) => {
  const { driver, image } = await withImages(t)
  await pushImage((await openStore(t, driver)).repository('b'), 'latest').catch(() => {})
  for (const lost of [`${layout.repositories}/team`, `${layout.blobs}/sha256/${hexOf(image.layer).slice(0, 2)}`]) {
    const read = await readWithout(t, losing(driver, lost as ObjectKey, 'EIO'))
    await read.run()
    assert.deepEqual(read.errors, [])
    assert.ok((await read.parts.facts.read.damages.page('', 100)).some(({ key }) => key === lost))
  }
})

test('what could not be read is read after the next start, when it can be', async (t) => {
  const { driver, image } = await withImages(t)
  for (const lost of [layout.revision(name, image.digest), layout.blob(image.digest), layout.repository(name)]) {
    const read = await readWithout(t, losing(driver, lost, 'EIO'))
    await read.run()
    const next = await compare(read.local, driver)
    assert.equal((await next.repository(name).manifests.get({ tag: tagOf('latest') })).digest, image.digest, lost)
    assert.deepEqual(await rowsOf(next), [], lost)
    assert.equal(await next.parts.facts.read.store.get('hidden'), undefined)
  }
})

test('what cannot be read for lack of rights is tried again, and not at once', async (t) => {
  const { driver, image } = await withImages(t)
  const read = await readWithout(t, losing(driver, layout.revision(name, image.digest), 'EACCES'), {
    retryMs: 100_000,
  })
  const stopping = new AbortController()
  const running = read.adopter.run(stopping.signal, () => {})
  while (read.errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(read.errors.length, 1)
  assert.match(String(read.errors[0]), /EACCES/)
  stopping.abort()
  await running
  const next = await adopterOf(read.local, driver)
  await next.run()
  assert.deepEqual(await rowsOf(next), [])
})

test('names that storage has not are in no list, as soon as there is one', async (t) => {
  const { driver, local } = await withImages(t)
  const ghosts = Array.from({ length: 150 }, (_, n) => nameOf(`ghost/${n}`))
  await local.parts.facts.write(async (changed) => {
    for (const each of [...ghosts, nameOf('zzz')]) await changed.repositories.ensure(each, 1)
    await beginAdoption(changed, 'asked for')
  })
  const read = await adopterOf(local, losing(driver, layout.revisions(name), 'EACCES'))
  const stopping = new AbortController()
  const running = read.adopter.run(stopping.signal, () => {})
  await read.adopter.whenNamesKnown()
  assert.deepEqual(await read.parts.facts.read.repositories.page('', 1000), [name, other])
  stopping.abort()
  await running
})

test('a repository that is being read again ends when it is asked to', async (t) => {
  const { driver, local } = await withImages(t)
  const stopping = new AbortController()
  const read = await adopterOf(local, driver)
  const reading = read.adopter.readAgain(
    name,
    async () => {
      stopping.abort()
      return true
    },
    stopping.signal,
  )
  await assert.rejects(reading, { name: 'AbortError' })
  assert.equal((await read.parts.facts.read.repositories.find(name))?.state, 'unadopted')
  const next = await adopterOf(local, driver)
  await next.run()
  assert.equal((await next.parts.facts.read.repositories.find(name))?.state, 'adopted')
})
