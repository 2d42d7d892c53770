/** A dry run says what a run does, whatever is there: small registries are made up at random and compared. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Digest } from '../../oci/digest.ts'
import { Failure } from '../../oci/failure.ts'
import type { Repository } from '../../registry/registry.ts'
import type { CollectOptions, CollectReport } from '../../upkeep/operations.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import {
  type CollectingWorld,
  collecting,
  hour,
  named,
  pushArtifact,
  pushBlob,
  pushImage,
  pushIndex,
} from './collecting.ts'

const small = fc.nat({ max: 5 })
const where = fc.constantFrom('a', 'b')
const event = fc.oneof(
  fc.record({ kind: fc.constant('blob'), where, at: small }),
  fc.record({ kind: fc.constant('image'), where, at: small, layer: small }),
  fc.record({ kind: fc.constant('artifact'), where, at: small, layer: small, subject: fc.option(small) }),
  fc.record({ kind: fc.constant('index'), where, at: small, layer: small, tagged: fc.boolean() }),
  fc.record({ kind: fc.constant('delete tag'), where, at: small }),
  fc.record({ kind: fc.constant('delete manifest'), where, at: small }),
  fc.record({ kind: fc.constant('mount'), where, at: small }),
  fc.record({ kind: fc.constant('collect'), where, at: small }),
  fc.record({ kind: fc.constant('wait'), where, at: small }),
)
type Event = {
  readonly kind: string
  readonly where: string
  readonly at: number
  readonly layer?: number
  readonly subject?: number | null
  readonly tagged?: boolean
}

interface Made {
  readonly blobs: Digest[]
  readonly manifests: Record<string, Digest[]>
}

const nth = <T>(values: readonly T[], at: number): T | undefined => values[at % Math.max(1, values.length)]

async function happen(world: CollectingWorld, made: Made, each: Event): Promise<void> {
  const repository = world.local.repository(each.where)
  const manifests = made.manifests[each.where] ?? []
  made.manifests[each.where] = manifests
  const layers = async () => [await keep(made, repository, `layer ${each.layer}`)]
  switch (each.kind) {
    case 'blob':
      return void (await keep(made, repository, `layer ${each.at}`))
    case 'image':
      return void manifests.push((await pushImage(repository, `v${each.at}`, await layers(), `${each.layer}`)).digest)
    case 'artifact': {
      const subject = each.subject == null ? undefined : nth(manifests, each.subject)
      const parts = { layers: await layers(), title: String(each.at), ...(subject && { subject }) }
      return void manifests.push(await pushArtifact(repository, parts))
    }
    case 'index': {
      const children = await present(repository, [nth(manifests, each.at), nth(manifests, each.layer ?? 0)])
      const tags = each.tagged ? [`index${each.at}`] : []
      return void manifests.push(await pushIndex(repository, { manifests: children, layers: await layers(), tags }))
    }
    case 'delete tag':
      return repository.manifests.delete({ tag: tagOf(`v${each.at}`) })
    case 'delete manifest': {
      const digest = nth(manifests, each.at)
      return digest && repository.manifests.delete({ digest })
    }
    case 'mount': {
      const digest = nth(made.blobs, each.at)
      return void (digest && (await repository.blobs.mount(digest, nameOf(each.where === 'a' ? 'b' : 'a'))))
    }
    case 'collect':
      return void (await world.collect({ deleteUntagged: each.at > 3 }))
    default:
      return world.wait(each.at * 10 * hour)
  }
}

async function keep(made: Made, repository: Repository, content: string): Promise<Digest> {
  const digest = await pushBlob(repository, content)
  made.blobs.push(digest)
  return digest
}

async function present({ manifests }: Repository, digests: readonly (Digest | undefined)[]): Promise<Digest[]> {
  const found: Digest[] = []
  for (const digest of new Set(digests)) {
    if (digest && (await manifests.get({ digest }).catch(() => undefined))) found.push(digest)
  }
  return found
}

function figures({ freedBlobs, freedBytes, unlinked, trashed, purged, paused }: CollectReport): object {
  return { freedBlobs, freedBytes, unlinked, trashed, purged, paused: paused && [paused.blobs, paused.bytes] }
}

async function compare(
  events: readonly Event[],
  days: number,
  options: CollectOptions,
  trashMs: number,
): Promise<number> {
  let victims = 0
  await collecting(
    async (world) => {
      const made: Made = { blobs: [], manifests: {} }
      for (const each of events) {
        await happen(world, made, each).catch((error) => {
          if (!(error instanceof Failure)) throw error
        })
        world.wait(1)
      }
      world.wait(days * 24 * hour)
      const planned = await world.collect({ ...options, dryRun: true })
      const done = await world.collect(options)
      assert.deepEqual(named(planned), named(done))
      assert.deepEqual(figures(planned), figures(done))
      victims = done.victims.length
    },
    { trashMs },
  )
  return victims
}

describe('a dry run', () => {
  test('names exactly what the run then takes', { timeout: 200_000 }, async (t) => {
    const end = Date.now() + 20_000
    let [runs, victims] = [0, 0]
    const options = fc.record({ deleteUntagged: fc.boolean(), purgeTrash: fc.boolean() })
    const trash = fc.constantFrom(0, 20 * hour, 168 * hour)
    const property = fc.asyncProperty(
      fc.array(event, { minLength: 2, maxLength: 14 }),
      fc.constantFrom(0, 1, 2, 9),
      options,
      trash,
      async (events, days, chosen, trashMs) => {
        if (Date.now() > end) return
        victims += await compare(events, days, { ...chosen, confirmed: true }, trashMs)
        runs++
      },
    )
    await fc.assert(property, { numRuns: 150, seed: 4, endOnFailure: false })
    t.diagnostic(`${runs} registries, ${victims} victims`)
    assert.ok(victims > 0)
  })
})
