import assert from 'node:assert/strict'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { type Digest, digestOf, hexOf } from '../../oci/digest.ts'
import type { Repository } from '../../registry/registry.ts'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { expireUploads } from '../../upkeep/expire.ts'
import { recover } from '../../upkeep/recover.ts'
import { tagOf } from '../contracts/facts-tools.ts'
import { type LocalRegistry, openLocal } from '../contracts/local-registry.ts'
import { chunkOf, imageJson, manifestPush, partsOf } from '../contracts/push.ts'
import { pulled } from '../contracts/registry-tools.ts'
import { filesUnder } from '../storage/tree.ts'
import { type Fault, type FaultyDriver, faultyDriver } from './faulty-driver.ts'

interface Acknowledged {
  readonly blobs: { readonly digest: Digest; readonly bytes: Uint8Array }[]
  manifest?: Digest
}

/** Pushes an image in several chunks, notes what was acknowledged, and stops at the first failure. */
async function push({ uploads, manifests }: Repository, seed: string): Promise<Acknowledged & { error?: unknown }> {
  const acknowledged: Acknowledged = { blobs: [] }
  const parts = partsOf(seed, 5000)
  try {
    for (const bytes of [parts.config, parts.layer]) {
      const digest = digestOf(bytes)
      const { id } = await uploads.start()
      await uploads.append(id, chunkOf(bytes.subarray(0, 5), 0))
      await uploads.commit(id, digest, chunkOf(bytes.subarray(5), 5))
      acknowledged.blobs.push({ digest, bytes })
    }
    acknowledged.manifest = (await manifests.put({ tag: tagOf('latest') }, manifestPush(imageJson(parts)))).digest
    return acknowledged
  } catch (error) {
    return { ...acknowledged, error }
  }
}

/** What a client was told is true, and no tag points to nothing. */
async function holds(repository: Repository, { blobs, manifest }: Acknowledged): Promise<void> {
  for (const { digest, bytes } of blobs) assert.ok((await pulled(repository.blobs.open(digest))).equals(bytes))
  if (manifest) assert.equal((await repository.manifests.get({ tag: tagOf('latest') })).digest, manifest)
  const tags = await repository.tags.list({ limit: 10 }).catch(() => ({ entries: [] }))
  for (const tag of tags.entries) {
    const { bytes } = await repository.manifests.get({ tag })
    const { config, layers } = JSON.parse(Buffer.from(bytes).toString()) as { config: unknown; layers: unknown[] }
    for (const each of [config, ...layers]) await pulled(repository.blobs.open((each as { digest: Digest }).digest))
  }
}

/** Everything under the root once all is settled and every abandoned upload expired. */
async function tidied({ parts }: LocalRegistry, root: string): Promise<string[]> {
  await parts.settler.settleAll()
  const later = Date.now() + 1_000_000_000_000
  await expireUploads({ ...parts, clock: () => later, uploadAgeMs: 1 })
  assert.equal(await parts.facts.read.owed.count(), 0)
  return filesUnder(root)
}

function expectedFiles(name: string, { blobs, manifest }: Acknowledged): string[] {
  assert.ok(manifest)
  const repository = `docker/registry/v2/repositories/${name}`
  const tag = `${repository}/_manifests/tags/latest`
  return [
    ...[...blobs.map(({ digest }) => digest), manifest].map((digest) => {
      const hex = hexOf(digest)
      return `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`
    }),
    ...blobs.map(({ digest }) => `${repository}/_layers/sha256/${hexOf(digest)}/link`),
    `${repository}/_manifests/revisions/sha256/${hexOf(manifest)}/link`,
    `${tag}/current/link`,
    `${tag}/index/sha256/${hexOf(manifest)}/link`,
  ].sort()
}

interface Trial {
  readonly local: LocalRegistry
  readonly faulty: FaultyDriver
  readonly root: string
  close(): Promise<void>
}

async function openTrial(): Promise<Trial> {
  const root = fs.mkdtempSync(join(tmpdir(), 'berth-crash-'))
  const faulty = faultyDriver(new FilesystemDriver(root))
  const local = await openLocal(faulty.driver)
  return {
    local,
    faulty,
    root,
    async close() {
      await local.close()
      fs.rmSync(root, { recursive: true })
    },
  }
}

async function callsOfOnePush(): Promise<number> {
  const { local, faulty, close } = await openTrial()
  const { error } = await push(local.repository('a'), 'x')
  assert.equal(error, undefined)
  const { length } = faulty.calls
  await close()
  return length
}

/** One push that fails at call `n`, and everything that must hold from then on. */
async function tryCall(n: number, fault: Fault, code: string): Promise<void> {
  const { local, faulty, root, close } = await openTrial()
  try {
    faulty.arm(n, fault, code)
    const before = await push(local.repository('a'), 'x')
    const called = faulty.calls.at(n - 1)
    assert.ok(faulty.struck, `there was no call ${n}`)
    faulty.disarm()
    // What only tidies up, or follows a fact that is durable already, fails no push.
    if (called === 'delete' && fault !== 'dead') assert.equal(before.error, undefined, `${called} (call ${n})`)
    await holds(local.repository('a'), before).catch((error) => {
      throw new Error(`after ${called} (call ${n}) failed`, { cause: error })
    })
    const next = fault === 'dead' ? local.again() : local
    if (fault === 'dead') await recover(next.parts)
    await holds(next.repository('a'), before)
    const again = await push(next.repository('a'), 'x')
    assert.equal(again.error, undefined, `retry after ${called} (call ${n})`)
    await holds(next.repository('a'), again)
    const restarted = next.again()
    await recover(restarted.parts)
    await holds(restarted.repository('a'), again)
    assert.deepEqual(await tidied(restarted, root), expectedFiles('a', again), `after ${called} (call ${n})`)
  } finally {
    await close()
  }
}

async function tryEveryCall(t: TestContext, fault: Fault, code: string): Promise<void> {
  const calls = await callsOfOnePush()
  assert.ok(calls > 15, 'a push is made of many calls')
  for (let n = 1; n <= calls; n++) await t.test(`call ${n} of ${calls}`, () => tryCall(n, fault, code))
}

describe('a push during which storage fails loses nothing that was acknowledged, and can be repeated', () => {
  test('a call is refused because of the disk', (t) => tryEveryCall(t, 'refused', 'EIO'))
  test('a call is refused for want of space', (t) => tryEveryCall(t, 'refused', 'ENOSPC'))
  test('a call does its work and fails at its end', (t) => tryEveryCall(t, 'done and failed', 'EIO'))
  test('the process dies', (t) => tryEveryCall(t, 'dead', 'EIO'))
})
