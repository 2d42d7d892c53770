/** A collector and those who push, on two nodes: whoever commits first wins, and the other one sees it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FactQueries, Touches } from '../../metadata/facts.ts'
import { newUploadId } from '../../oci/name.ts'
import { digestFor, manifestOf, nameOf } from '../contracts/facts-tools.ts'
import { needsPostgres, sharedPostgres } from '../support/postgres.ts'
import { hold, inOrder, openNodes } from './postgres-nodes.ts'

const server = sharedPostgres()
const [one, alpine, busybox] = [digestFor('one'), nameOf('library/alpine'), nameOf('library/busybox')]

const condemn = (changed: FactQueries) => changed.collection.condemn(one, 100, 10)

/** What makes use of bytes; each answers whether it got them. */
const uses: readonly {
  readonly what: string
  readonly touches: Touches
  use(changed: FactQueries): Promise<boolean>
}[] = [
  {
    what: 'a push that names the bytes',
    touches: 'uploads',
    async use(changed) {
      const row = { id: newUploadId(), repository: alpine, stage: '', algorithm: 'sha256' } as const
      await changed.uploads.add({ ...row, state: 'receiving', committing: one, version: 0, updatedAt: 1 })
      return changed.blobs.isStored(one)
    },
  },
  {
    what: 'a push that links the bytes',
    touches: { repository: alpine },
    async use(changed) {
      const { id } = await changed.repositories.ensure(alpine, 1)
      if (!(await changed.blobs.isStored(one))) return false
      return changed.blobs.link(id, one, 20)
    },
  },
  {
    what: 'a mount from another repository',
    touches: { repository: busybox },
    async use(changed) {
      if (!(await changed.blobs.sizeIn(alpine, one))) return false
      const { id } = await changed.repositories.ensure(busybox, 1)
      return changed.blobs.link(id, one, 20)
    },
  },
  {
    what: 'a manifest that names the bytes',
    touches: { repository: busybox },
    async use(changed) {
      const { id } = await changed.repositories.ensure(busybox, 1)
      if (!(await changed.blobs.isStored(one))) return false
      await changed.manifests.put(id, manifestOf('m', { references: [one] }), 1)
      return true
    },
  },
]

describe('a claim and', needsPostgres(), () => {
  for (const { what, touches, use } of uses) {
    const isMount = what.startsWith('a mount')

    test(`${what}: the claim comes first, and the bytes are not to be had`, async (t) => {
      const nodes = await openNodes(t, await server(), 2)
      const [collector, pusher] = [nodes.nodes[0]!, nodes.nodes[1]!]
      await collector.write((changed) => changed.blobs.add(one, 3, 1))
      const outcome = await inOrder(nodes, await hold(collector, 'everything', condemn), () =>
        pusher.write(use, { touches }),
      )
      assert.deepEqual(outcome, { first: true, second: false })
      assert.equal((await pusher.read.collection.find(one))?.condemnedUntil, 100)
    })

    test(`${what}: the claim comes second, and is refused`, async (t) => {
      const nodes = await openNodes(t, await server(), 2)
      const [collector, pusher] = [nodes.nodes[0]!, nodes.nodes[1]!]
      await collector.write(async (changed) => {
        await changed.blobs.add(one, 3, 1)
        const { id } = await changed.repositories.ensure(alpine, 1)
        if (isMount) await changed.blobs.link(id, one, 1)
      })
      const using = await hold(pusher, touches, async (changed) => {
        const isUsed = await use(changed)
        // The link it was mounted from goes meanwhile: the new one alone keeps the bytes.
        if (isMount) await changed.blobs.unlink((await changed.repositories.find(alpine))!.id, one)
        return isUsed
      })
      const outcome = await inOrder(nodes, using, () => collector.write(condemn))
      assert.deepEqual(outcome, { first: true, second: false })
      assert.equal((await pusher.read.collection.find(one))?.condemnedUntil, undefined)
    })
  }
})
