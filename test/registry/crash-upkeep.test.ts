import assert from 'node:assert/strict'
import { digestOf } from '../../oci/digest.ts'
import { createRegistry } from '../../registry/local.ts'
import { layout } from '../../storage/layout.ts'
import { type Adopter, createAdopter } from '../../upkeep/adopt/adopt.ts'
import { createComparer } from '../../upkeep/adopt/compare.ts'
import { beginAdoption } from '../../upkeep/adopt/phase.ts'
import { takeOwnership } from '../../upkeep/own/ownership.ts'
import { release } from '../../upkeep/own/release.ts'
import { recover } from '../../upkeep/recover.ts'
import { createVerifier } from '../../upkeep/verify/verify.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import { caller, chunkOf, imageJson, manifestPush, partsOf, pushBlob, pushImage } from '../contracts/push.ts'
import { pulled } from '../contracts/registry-tools.ts'
import { readBack } from '../contracts/storage-tools.ts'
import { type Scenario, scenario, tryScenarios } from './crash-trial.ts'
import type { Process, World } from './crash-world.ts'

type Image = Awaited<ReturnType<typeof pushImage>>
type Reads = Pick<ReturnType<Process['repository']>, 'manifests' | 'blobs'>

async function isThere({ manifests, blobs }: Reads, { digest, parts }: Image, tag: string): Promise<void> {
  assert.equal((await manifests.get({ tag: tagOf(tag) })).digest, digest)
  for (const bytes of [parts.config, parts.layer]) {
    assert.deepEqual(await pulled(blobs.open(digestOf(bytes))), Buffer.from(bytes))
  }
}

/** What is left where a process dies in the middle of a push, at whatever call. */
function dyingAt(call: number): Scenario<Image> {
  return {
    name: `a start after a push that died at call ${call}`,
    leavesOwed: true,
    every: 3,
    async prepare(world, process) {
      const image = await pushImage(process.repository('a'), 'latest')
      const gone = await pushImage(process.repository('a'), 'gone')
      await process.parts.settler.settleAll()
      await process.repository('a').manifests.delete({ digest: gone.digest })
      world.faults.arm(call, 'dead', 'EIO')
      const parts = partsOf('new', 5000)
      const { uploads, manifests } = process.repository('a')
      const push = async () => {
        for (const bytes of [parts.config, parts.layer]) {
          const { id } = await uploads.start()
          await uploads.append(id, chunkOf(bytes.subarray(0, 5), 0))
          await uploads.commit(id, digestOf(bytes), chunkOf(bytes.subarray(5), 5))
        }
        await manifests.put({ tag: tagOf('latest') }, manifestPush(imageJson(parts)))
      }
      await push().catch(() => {})
      world.faults.disarm()
      return image
    },
    async act({ parts }) {
      await recover(parts)
      await parts.settler.settleAll()
    },
    holds: (process, image) => holdsEither(process, image),
  }
}

/** The tag leads to the image before or to the new one, and all of it is there. */
async function holdsEither(process: Process, image: Image): Promise<void> {
  const repository = process.repository('a')
  await repository.manifests.get({ tag: tagOf('latest') })
  await repository.manifests.get({ digest: image.digest })
  for (const bytes of [image.parts.config, image.parts.layer]) {
    assert.deepEqual(await pulled(repository.blobs.open(digestOf(bytes))), Buffer.from(bytes))
  }
}

/** The same with a manifest that was there before, and must not go with the push that failed. */
function movingAt(call: number): Scenario<Image> {
  return {
    ...dyingAt(call),
    name: `a start after moving a tag that died at call ${call}`,
    async prepare(world, process) {
      const image = await pushImage(process.repository('a'), 'latest')
      const other = await pushImage(process.repository('a'), 'other')
      world.faults.arm(call, 'dead', 'EIO')
      const push = { contentType: '', bytes: image.bytes, tags: [tagOf('latest')] }
      await process
        .repository('a')
        .manifests.put({ tag: tagOf('other') }, push)
        .catch(() => {})
      world.faults.disarm()
      await process.repository('a').manifests.get({ digest: other.digest })
      return image
    },
  }
}

tryScenarios(
  'a start that fails, or is killed again, has lost nothing, and the next one ends it',
  [...Array.from({ length: 26 }, (_, at) => dyingAt(at + 1)), ...[1, 2, 3, 4, 5].map(movingAt)].map(scenario),
)

tryScenarios('what is owed to storage stays owed until it is there', [
  scenario({
    name: 'settling everything',
    leavesOwed: true,
    async prepare(_, process) {
      const image = await pushImage(process.repository('a'), 'latest')
      const gone = await pushImage(process.repository('a'), 'gone')
      await process.repository('a').manifests.delete({ digest: gone.digest })
      return image
    },
    act: async ({ parts, errors }) => {
      await parts.settler.settleAll()
      if (errors.length > 0) throw errors[0]
    },
    holds: (process, image) => isThere(process.repository('a'), image, 'latest'),
  }),
  scenario({
    name: 'a volume is handed back',
    leavesOwed: true,
    async prepare(world, process) {
      await takeOwnership(world.memory, world.facts)
      const image = await pushImage(process.repository('a'), 'latest')
      await process.repository('a').manifests.delete({ tag: tagOf('latest') })
      return pushImage(process.repository('a'), 'again', 'latest').then(() => image)
    },
    act: ({ parts }) => release(parts, new AbortController().signal, () => {}),
    async holds(process, image, { memory, facts }) {
      await isThere(process.repository('a'), image, 'again')
      const { state } = JSON.parse(String(await readBack(memory, layout.store))) as { state: string }
      if (state === 'released') assert.equal(await facts.read.owed.count(), 0)
      else assert.equal(state, 'serving')
    },
  }),
  scenario({
    name: 'a volume is claimed',
    async prepare(_, process) {
      return pushImage(process.repository('a'), 'latest')
    },
    act: ({ parts }) => takeOwnership(parts.driver, parts.facts),
  }),
])

interface Reading {
  readonly process: Process
  readonly adopter: Adopter
  readonly failures: unknown[]
  run(): Promise<void>
}

/** Reads until it is done, or until something failed. */
async function reading(process: Process): Promise<Reading> {
  const ending = new AbortController()
  const failures: unknown[] = []
  const onError = (error: unknown) => {
    failures.push(error)
    ending.abort()
  }
  const adopter = await createAdopter({ ...process.parts, onError, told: () => {}, retryMs: 1 })
  return {
    process,
    adopter,
    failures,
    async run() {
      await adopter.run(ending.signal, () => {}).catch((error) => failures.push(error))
      if (failures.length > 0) throw failures[0]
    },
  }
}

const through = ({ parts }: Process, adopter: Adopter, name: string) =>
  createRegistry({ ...parts, adoption: adopter }).repository(nameOf(name), caller)

async function twoRepositories(_: World, process: Process) {
  const a = await pushImage(process.repository('a'), 'latest')
  const b = await pushImage(process.repository('b/c'), 'other', 'other')
  await pushImage(process.repository('b/c'), 'gone')
  await process.repository('b/c').manifests.delete({ tag: tagOf('gone') })
  await process.parts.settler.settleAll()
  return { a, b }
}

async function pushElsewhere({ memory }: World, tag: string): Promise<Image> {
  const parts = partsOf(tag)
  const { bytes } = manifestPush(imageJson(parts))
  const digest = digestOf(bytes)
  const name = nameOf('a')
  for (const blob of [parts.config, parts.layer]) {
    await memory.write(layout.blob(digestOf(blob)), blob)
    await memory.write(layout.layer(name, digestOf(blob)), Buffer.from(digestOf(blob)))
  }
  await memory.write(layout.blob(digest), bytes)
  await memory.write(layout.revision(name, digest), Buffer.from(digest))
  await memory.write(layout.tagCurrent(name, tagOf(tag)), Buffer.from(digest))
  await memory.write(layout.tagIndex(name, tagOf(tag), digest), Buffer.from(digest))
  return { digest, bytes, config: digestOf(parts.config), layer: digestOf(parts.layer), parts }
}

type Two = Awaited<ReturnType<typeof twoRepositories>>

async function bothCanBePulled(process: Process, { a, b }: Two): Promise<void> {
  const { adopter } = await reading(process)
  await isThere(through(process, adopter, 'a'), a, 'latest')
  await isThere(through(process, adopter, 'b/c'), b, 'other')
}

tryScenarios('a volume that is being read while storage or the database fails is read to its end by the next start', [
  scenario({
    name: 'a volume without its database',
    // EIO is an answer here: what cannot be read is damaged.
    failsWith: 'EACCES',
    every: 20,
    async prepare(world, process) {
      const both = await twoRepositories(world, process)
      await process.parts.settler.settleAll()
      world.loseDatabase()
      await world.facts.write((changed) => beginAdoption(changed, 'its database was lost'))
      return both
    },
    act: async (process) => (await reading(process)).run(),
    holds: bothCanBePulled,
  }),
  scenario({
    name: 'a repository that another program changed',
    // EIO is an answer here: what cannot be read is damaged.
    failsWith: 'EACCES',
    every: 20,
    async prepare(world, process) {
      const both = await twoRepositories(world, process)
      await pushElsewhere(world, 'theirs')
      return both
    },
    async act(process) {
      const { adopter, failures } = await reading(process)
      const onError = (error: unknown) => void failures.push(error)
      const comparer = createComparer({ ...process.parts, adopter, told: () => {}, onError })
      const run = new AbortController()
      const giveUp = setInterval(() => failures.length > 0 && run.abort(), 5)
      try {
        if (adopter.status().phase !== 'done') await adopter.run(run.signal, () => {})
        await comparer.run(run.signal, () => {})
      } catch (error) {
        throw failures[0] ?? error
      } finally {
        clearInterval(giveUp)
      }
      if (failures.length > 0) throw failures[0]
    },
    holds: bothCanBePulled,
  }),
  scenario({
    name: 'a damaged volume is repaired',
    every: 20,
    async prepare(world, process) {
      const both = await twoRepositories(world, process)
      const { memory } = world
      await memory.delete(layout.tagCurrent(nameOf('a'), tagOf('latest')))
      await memory.write(layout.revision(nameOf('a'), both.a.digest), Buffer.from(''))
      await memory.delete(layout.layer(nameOf('b/c'), both.b.layer))
      const stray = Buffer.from('bytes that nobody names')
      await memory.write(layout.blob(digestOf(stray)), stray)
      await pushBlob(process.repository('a'), Buffer.from('nobody refers to it'))
      return both
    },
    // EIO is an answer here: those bytes are lost.
    failsWith: 'EACCES',
    act: ({ parts }) => createVerifier(parts).verify({ repair: true }, () => {}),
    async holds(process, { a, b }) {
      await isThere(process.repository('a'), a, 'latest')
      await isThere(process.repository('b/c'), b, 'other')
    },
  }),
])
