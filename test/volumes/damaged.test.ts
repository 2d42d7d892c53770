/** A damaged volume of another registry: what is whole is served, what is not is named, and pushed again it is whole. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Client, jsonOf } from '../support/client.ts'
import { type Built, digestOf, image, types } from '../support/image.ts'
import { runBerth, type ServedBerth, serveBerth, untilAdopted } from './berth-command.ts'
import { assertSame, listTree } from './census.ts'
import { type Damage, damagedImage, damages, type Part, type Place, placeOf } from './damage.ts'
import { newFolder } from './ending.ts'
import { createFiller } from './filler.ts'
import { type OldProgram, requireOld } from './old-registry.ts'

interface Case {
  readonly damage: Damage
  readonly name: string
  readonly hurt: Built
  readonly whole: Built
  readonly place: Place
}

const nameOf = ({ name }: Damage): string => `damaged/${name.replaceAll(/[^a-z0-9]+/g, '-')}`

async function pushCases(old: OldProgram, root: string, chosen: readonly Damage[]): Promise<Case[]> {
  const registry = await old.serve(root)
  const filler = createFiller(registry.client, registry.url)
  const cases: Case[] = []
  for (const damage of chosen) {
    const name = nameOf(damage)
    const hurt = await filler.push(name, damagedImage(), 'v1')
    const whole = await filler.push(name, image(), 'whole')
    cases.push({ damage, name, hurt, whole, place: placeOf(root, name, hurt) })
  }
  await registry.stop()
  return cases
}

/** What is asked for each part, and what must come. */
function requestsFor({ name, hurt }: Pick<Case, 'name' | 'hurt'>, client: Client) {
  const [config, small, large] = hurt.blobs
  const accept = { headers: { accept: types.image } }
  return {
    tag: [() => client.getManifest(name, 'v1', accept), hurt.bytes],
    manifest: [() => client.getManifest(name, hurt.digest, accept), hurt.bytes],
    config: [() => client.getBlob(name, config!.digest), config!.bytes],
    small: [() => client.getBlob(name, small!.digest), small!.bytes],
    large: [() => client.getBlob(name, large!.digest), large!.bytes],
  } as const satisfies Record<Part, unknown>
}

/** What is not as it should be, in words. */
async function complaintsAbout(cases: readonly Case[], client: Client, lostOf: (damage: Damage) => readonly Part[]) {
  const complaints: string[] = []
  for (const each of cases) {
    const lost = lostOf(each.damage)
    const { lostOnceVerified = [] } = each.damage
    for (const [part, [ask, bytes]] of Object.entries(requestsFor(each, client))) {
      if (lostOnceVerified.includes(part as Part) && lostOf === lostAtFirst) continue
      const reply = await ask()
      const expected = lost.includes(part as Part) ? 404 : 200
      const what = `${each.damage.name}: ${part}`
      if (reply.status !== expected) complaints.push(`${what} answers ${reply.status} instead of ${expected}`)
      else if (expected === 200 && !reply.bytes.equals(bytes)) complaints.push(`${what} answers other bytes`)
    }
    const reply = await client.getManifest(each.name, 'whole', { headers: { accept: types.image } })
    const isWhole = reply.bytes.equals(each.whole.bytes)
    // Where the folder of all tags is gone, so is this one.
    const isGone =
      reply.status === 404 && lost.includes('tag') && /as (manifests|revisions|tags)$/.test(each.damage.name)
    if (!isWhole && !isGone) complaints.push(`${each.damage.name}: its other image answers ${reply.status}`)
    const { status } = await client.listTags(each.name)
    if (status !== 200) complaints.push(`${each.damage.name}: its tags answer ${status}`)
  }
  return complaints
}

interface Verified {
  readonly findings: readonly { readonly key: string; readonly repaired: boolean }[]
}

async function verify(root: string, ...flags: string[]): Promise<Verified> {
  const { stdout, stderr } = await runBerth(root, 'verify', '--json', '--fresh', ...flags)
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as Verified
}

async function openDamaged(t: TestContext, old: OldProgram, chosen: readonly Damage[]) {
  const root = newFolder(t)
  const cases = await pushCases(old, root, chosen)
  for (const { damage, place } of cases) damage.apply(place)
  const berth = await serveBerth(t, root)
  return { root, cases, berth }
}

const lostAtFirst = ({ lost }: Damage): readonly Part[] => lost

const keyOf = (root: string, path: string): string => relative(root, path)

function unnamed(root: string, cases: readonly Case[], { findings }: Verified): string[] {
  const keys = new Set(findings.map(({ key }) => key))
  return cases.flatMap(({ damage, place }) => {
    const path = damage.named?.(place)
    if (path === undefined) return []
    const key = keyOf(root, path)
    return keys.has(key) ? [] : `${damage.name}: ${key}`
  })
}

async function pushAgain(berth: ServedBerth, cases: readonly Case[]): Promise<string[]> {
  const filler = createFiller(berth.client, berth.url)
  const failed: string[] = []
  for (const { name, hurt, whole, damage } of cases) {
    try {
      await filler.push(name, hurt, 'v1')
      await filler.push(name, whole, 'whole')
    } catch (error) {
      failed.push(`${damage.name}: ${error instanceof Error ? error.message : error}`)
    }
  }
  return failed
}

test('a damaged volume is served as far as it is whole, named by verifying, and healed by pushes', async (t) => {
  const old = requireOld(t, '2.8')
  if (!old) return
  const { root, cases, berth } = await openDamaged(t, old, damages)
  const none = (): readonly Part[] => []
  await t.test('at once', async () => assert.deepEqual(await complaintsAbout(cases, berth.client, lostAtFirst), []))
  await untilAdopted(berth)
  await t.test('when all of it is read', async () =>
    assert.deepEqual(await complaintsAbout(cases, berth.client, lostAtFirst), []),
  )
  await t.test('verifying names each', async () => assert.deepEqual(unnamed(root, cases, await verify(root)), []))
  await t.test('what only reading every byte finds is not served any more', async () => {
    const verified = ({ lost, lostOnceVerified = [] }: Damage) => [...lost, ...lostOnceVerified]
    assert.deepEqual(await complaintsAbout(cases, berth.client, verified), [])
  })
  await t.test('pushed again it is whole', async () => {
    const outside = listTree(join(root, 'outside'))
    assert.deepEqual(await pushAgain(berth, cases), [])
    assertSame(listTree(join(root, 'outside')), outside)
    assert.deepEqual(await complaintsAbout(cases, berth.client, none), [])
  })
  await berth.stop()
  await t.test('the other registry serves what was healed', async () => {
    const registry = await old.serve(root)
    assert.deepEqual(await complaintsAbout(cases, registry.client, none), [])
  })
})

const mendable = damages.filter(({ isMended }) => isMended)

test('repairing mends links by their own path, and removes temporary files', async (t) => {
  const old = requireOld(t, '2.8')
  if (!old) return
  const { root, cases, berth } = await openDamaged(t, old, mendable)
  await untilAdopted(berth)
  const { findings } = await verify(root, '--repair')
  const repaired = new Set(findings.filter((each) => each.repaired).map(({ key }) => key))
  const left = cases.filter(({ damage, place }) => !repaired.has(keyOf(root, damage.named?.(place) ?? '')))
  assert.deepEqual(
    left.map(({ damage }) => damage.name),
    [],
  )
  assert.deepEqual(await complaintsAbout(cases, berth.client, () => []), [])
  const again = await verify(root)
  const keys = new Set(again.findings.map(({ key }) => key))
  const still = cases.filter(({ damage, place }) => keys.has(keyOf(root, damage.named?.(place) ?? '')))
  assert.deepEqual(
    still.map(({ damage }) => damage.name),
    [],
  )
})

test('an image of schema 1 is listed and deleted, and not served', async (t) => {
  const old = requireOld(t, '2.8')
  if (!old) return
  const root = newFolder(t)
  const name = 'old/image'
  const registry = await old.serve(root)
  const { blobs } = await createFiller(registry.client, registry.url).push(name, image(), 'v2')
  await registry.stop()
  const digest = writeSchema1(root, name, blobs[1]!.digest)
  const berth = await serveBerth(t, root)
  for (const round of ['at once', 'when it is read']) {
    for (const reference of ['v1', digest]) {
      const reply = await berth.client.getManifest(name, reference)
      assert.equal(reply.status, 404, round)
      assert.match(reply.bytes.toString(), /schema 1/, round)
    }
    await untilAdopted(berth)
  }
  assert.deepEqual(jsonOf<{ tags: string[] }>(await berth.client.listTags(name)).tags, ['v1', 'v2'])
  assert.equal((await berth.client.deleteManifest(name, digest)).status, 202)
  assert.deepEqual(jsonOf<{ tags: string[] }>(await berth.client.listTags(name)).tags, ['v2'])
})

/** As registries before 2.3 kept it: what was signed, without its signatures. */
function writeSchema1(root: string, name: string, layer: string): string {
  const json = {
    schemaVersion: 1,
    name,
    tag: 'v1',
    architecture: 'amd64',
    fsLayers: [{ blobSum: layer }],
    history: [{ v1Compatibility: '{"id":"a"}' }],
  }
  const bytes = JSON.stringify(json, undefined, 3)
  const digest = digestOf(bytes)
  const v2 = join(root, 'docker/registry/v2')
  const manifests = join(v2, 'repositories', name, '_manifests')
  const spread = digest.replace(':', '/')
  const files: [string, string][] = [
    [join(v2, 'blobs/sha256', digest.slice(7, 9), digest.slice(7), 'data'), bytes],
    [join(manifests, 'revisions', spread, 'link'), digest],
    [join(manifests, 'tags/v1/current/link'), digest],
    [join(manifests, 'tags/v1/index', spread, 'link'), digest],
  ]
  for (const [path, content] of files) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
  }
  return digest
}
