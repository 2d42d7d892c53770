/** A volume of another registry, served by Berth. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, jsonOf } from '../support/client.ts'
import { type Built, blob, digestOf, image, push, pushBlob, putManifest, types } from '../support/image.ts'
import { serveBerth, statusOf, untilAdopted } from './berth-command.ts'
import { assertSame, listCatalog, listTree, takeCensus } from './census.ts'
import { newFolder } from './ending.ts'
import type { Filled } from './fill.ts'
import { fillWith } from './filled-volume.ts'
import { createFiller } from './filler.ts'
import { oldVersions, requireOld } from './old-registry.ts'
import { writeWideVolume } from './wide-volume.ts'

for (const version of oldVersions) {
  test(`what registry ${version} wrote is served as it served it, and not touched`, async (t) => {
    const old = requireOld(t, version)
    if (!old) return
    const { root, filled, census, pushed } = await fillWith(t, old)
    const docker = join(root, 'docker')
    const before = listTree(docker)
    const berth = await serveBerth(t, root)
    const { name, image: kept } = filled.kept
    assert.equal((await berth.client.getManifest(name, 'kept')).headers['docker-content-digest'], kept.digest)
    await untilAdopted(berth)
    assertSame(await takeCensus(berth.client, pushed), census)
    await assertReferrers(berth.client, filled)
    await berth.stop()
    assertSame(listTree(docker), before)
  })
}

async function assertReferrers(client: Client, { referrers }: Filled): Promise<void> {
  for (const { name, subject, digest, artifactType } of referrers) {
    const reply = await client.listReferrers(name, subject)
    const { manifests } = jsonOf<{ manifests: { digest: string; artifactType: string }[] }>(reply)
    assert.equal(manifests.find((each) => each.digest === digest)?.artifactType, artifactType, `${name}@${digest}`)
  }
}

for (const version of oldVersions) {
  test(`a blob that registry ${version} took by its sha512 is named, and read by it once it is pushed again`, async (t) => {
    const old = requireOld(t, version)
    if (!old) return
    const root = newFolder(t)
    const wide = blob(800, { algorithm: 'sha512' })
    const registry = await old.serve(root)
    await createFiller(registry.client, registry.url).pushBlob('library/wide', wide)
    assert.equal((await registry.client.getBlob('library/wide', wide.digest)).status, 200)
    await registry.stop()
    const berth = await serveBerth(t, root)
    await untilAdopted(berth)
    const ask = async (digest: string): Promise<number> => (await berth.client.getBlob('library/wide', digest)).status
    assert.equal(await ask(digestOf(wide.bytes)), 200)
    // Under the sha512 there are no bytes of their own (docs/decisions/0005).
    assert.equal(await ask(wide.digest), 404)
    assert.match(berth.output(), new RegExp(`${wide.digest.slice(7)}.*can be read by that name alone`))
    await pushBlob(berth.client, 'library/wide', wide)
    assert.equal(await ask(wide.digest), 200)
    await berth.stop()
    const again = await old.serve(root)
    for (const digest of [wide.digest, digestOf(wide.bytes)]) {
      assert.equal((await again.client.getBlob('library/wide', digest)).status, 200)
    }
  })
}

/** So many that reading them takes longer than a few requests. */
const repositories = 400

test('a large volume is pulled from, pushed to and deleted from while it is still being read', async (t) => {
  const root = newFolder(t)
  const wide = writeWideVolume(root, repositories)
  const lastOf = (back: number): [string, Built] => [
    wide.nameOf(repositories - back),
    wide.imageOf(repositories - back),
  ]
  const berth = await serveBerth(t, root)
  const { client } = berth

  const [name, there] = lastOf(1)
  await assertServes(client, name, 'v1', there)
  const [layer] = there.blobs.slice(-1)
  assert.equal((await client.getBlob(name, layer!.digest)).status, 200)
  const status = await statusOf(root)
  assert.notEqual(status.adoption.phase, 'done')
  assert.equal(status.adoption.reason, 'another registry wrote this volume')
  assert.equal((await client.listReferrers(name, there.digest)).status, 200)

  const [pushedTo, old] = lastOf(2)
  const fresh = await push(client, pushedTo, image(), 'new', 'v1')
  const [mountedTo] = lastOf(3)
  const [mounted] = await pushAndMount(client, pushedTo, mountedTo)
  const [deletedIn, gone] = lastOf(4)
  assert.equal((await client.deleteManifest(deletedIn, gone.digest)).status, 202)
  const [untagged, stays] = lastOf(5)
  assert.equal((await client.deleteManifest(untagged, 'v1')).status, 202)
  assert.notEqual((await statusOf(root)).adoption.phase, 'done', 'all this was asked before the volume was read')

  await untilAdopted(berth)
  const after = await statusOf(root)
  assert.equal(after.adoption.phase, 'done')
  assert.equal(after.repositories.unadopted, 0)
  assert.match(berth.output(), /reading the volume: it is served meanwhile/)
  await assertServes(client, pushedTo, 'new', fresh)
  await assertServes(client, pushedTo, 'v1', fresh)
  await assertServes(client, pushedTo, old.digest, old)
  await assertServes(client, mountedTo, 'mounted', mounted)
  for (const reference of ['v1', gone.digest]) {
    assert.equal((await client.getManifest(deletedIn, reference)).status, 404)
  }
  assert.equal((await client.getManifest(untagged, 'v1')).status, 404)
  await assertServes(client, untagged, stays.digest, stays)
  assert.equal((await listCatalog(client)).length, repositories)
})

async function pushAndMount(client: Client, from: string, to: string): Promise<[Built]> {
  const source = await pushBlob(client, from, blob(5000))
  const built = image({ layers: [source] })
  await pushBlob(client, to, built.blobs[0]!)
  const { status } = await client.startUpload(to, `?mount=${source.digest}&from=${from}`)
  assert.equal(status, 201)
  assert.equal((await putManifest(client, to, 'mounted', built)).status, 201)
  return [built]
}

async function assertServes(client: Client, name: string, reference: string, built: Built): Promise<void> {
  const reply = await client.getManifest(name, reference, { headers: { accept: types.image } })
  assert.equal(reply.status, 200, `${name} ${reference}`)
  assert.ok(reply.bytes.equals(built.bytes), `${name} ${reference}`)
}

const kills = 4
const longestLifeMs = 700

test('a start that is killed while it reads the volume loses nothing', async (t) => {
  const root = newFolder(t)
  const wide = writeWideVolume(root, repositories)
  const docker = join(root, 'docker')
  const before = listTree(docker)
  for (let round = 0; round < kills; round++) {
    const berth = await serveBerth(t, root)
    await assertServes(berth.client, wide.nameOf(round), 'v1', wide.imageOf(round))
    await sleep(Math.random() * longestLifeMs)
    await berth.kill()
    t.diagnostic(`killed: ${/read the whole volume/.test(berth.output()) ? 'after' : 'while'} it was read`)
  }
  const berth = await serveBerth(t, root)
  await sleep(100)
  while ((await statusOf(root)).adoption.phase !== 'done') await sleep(200)
  const names = await listCatalog(berth.client)
  assertSame(
    names,
    Array.from({ length: repositories }, (_, number) => wide.nameOf(number)),
  )
  for (let number = 0; number < repositories; number += 7) {
    await assertServes(berth.client, wide.nameOf(number), 'v1', wide.imageOf(number))
  }
  assert.equal((await statusOf(root)).damages, 0)
  await berth.stop()
  assertSame(listTree(docker), before)
})
