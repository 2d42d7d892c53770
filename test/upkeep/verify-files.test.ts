/** Bytes under `blobs/` that a push may be about to name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../../oci/digest.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout } from '../../storage/layout.ts'
import { pushImage } from './collecting.ts'
import { openVerified } from './verify-world.ts'

/** Contents whose digests begin alike, so that their files lie in one folder. */
function contentsOfOneFolder(count: number): string[] {
  const found: string[] = []
  for (let n = 0; found.length < count; n++) {
    if (digestOf(Buffer.from(`content ${n}`)).startsWith('sha256:5e')) found.push(`content ${n}`)
  }
  return found
}

test('files that pushes may be about to name are waited for once, all together', async (t) => {
  const store = await openVerified(t, { sparse: true })
  const contents = contentsOfOneFolder(3)
  const digests = contents.map((content) => digestOf(Buffer.from(content)))
  await pushImage(store.repository, 'v1', digests)
  for (const [at, digest] of digests.entries()) store.put(layout.blob(digest), contents[at]!)
  const { facts } = store.parts
  const { collection } = facts.read
  const events: string[] = []
  const watched = {
    ...collection,
    isReferred: (...asked: Parameters<typeof collection.isReferred>) => {
      events.push('asked whether it may be needed')
      return collection.isReferred(...asked)
    },
  }
  const driver = new Proxy(store.driver, {
    get(of, name) {
      const value: unknown = Reflect.get(of, name)
      if (name !== 'open') return typeof value === 'function' ? value.bind(of) : value
      return (key: ObjectKey) => {
        if (key.startsWith(layout.blobs)) events.push('read')
        return of.open(key)
      }
    },
  })
  const read = { ...facts.read, collection: watched }
  const { findings } = await store.verifyWith({ driver, facts: { ...facts, read } }, { repair: true })
  assert.deepEqual(findings.map(({ digest }) => digest).toSorted(), digests.toSorted())
  const asked = events.lastIndexOf('asked whether it may be needed')
  assert.ok(asked >= 0)
  assert.equal(events.slice(asked).filter((event) => event === 'read').length, 3, events.join())
})
