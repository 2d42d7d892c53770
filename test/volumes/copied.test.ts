/** A folder that was copied file by file while somebody pushed. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { type Client, jsonOf } from '../support/client.ts'
import { type Built, blob, image, push, types } from '../support/image.ts'
import { type ServedBerth, serveBerth, untilAdopted } from './berth-command.ts'
import { listCatalog } from './census.ts'
import { newFolder } from './ending.ts'

interface Acknowledged {
  readonly name: string
  readonly tag: string
  readonly built: Built
}

/** Until it is told to end. */
function startPushing(client: Client, pushers: number) {
  const acknowledged: Acknowledged[] = []
  let ended = false
  const run = async (pusher: number): Promise<void> => {
    for (let round = 0; !ended; round++) {
      const name = `pushed/by-${pusher}/n${round % 4}`
      const built = image({ layers: [blob(40_000), blob(100_000)] })
      await push(client, name, built, `t${round}`, 'latest')
      acknowledged.push({ name, tag: `t${round}`, built })
    }
  }
  const running = Array.from({ length: pushers }, (_, pusher) => run(pusher))
  return {
    acknowledged,
    async end() {
      ended = true
      await Promise.all(running)
    },
  }
}

const copies = 3

test('a copy that was made while people pushed is read anew, and has every image from before', async (t) => {
  const root = newFolder(t)
  const berth = await serveBerth(t, root)
  const pushing = startPushing(berth.client, 3)
  const made: { folder: string; before: readonly Acknowledged[] }[] = []
  for (let number = 0; number < copies; number++) {
    while (pushing.acknowledged.length < (number + 1) * 8) await new Promise((resolve) => setTimeout(resolve, 20))
    const before = [...pushing.acknowledged]
    const folder = join(newFolder(t), 'copy')
    // What is renamed or removed meanwhile is complained about, and left out.
    await promisify(execFile)('cp', ['-a', root, folder]).catch(() => {})
    made.push({ folder, before })
  }
  await pushing.end()
  await berth.stop()
  for (const { folder, before } of made) {
    const copy = await serveBerth(t, folder)
    assert.match(copy.output(), /copy that was made while it was served/)
    await untilAdopted(copy)
    for (const each of before) await assertWhole(copy.client, each)
    await assertNothingIsHidden(copy)
    await copy.stop()
  }
})

async function assertWhole(client: Client, { name, tag, built }: Acknowledged): Promise<void> {
  const reply = await client.getManifest(name, tag, { headers: { accept: types.image } })
  assert.ok(reply.bytes.equals(built.bytes), `${name}:${tag} answers ${reply.status}`)
  for (const { digest, bytes } of built.blobs) {
    const content = await client.getBlob(name, digest)
    assert.ok(content.bytes.equals(bytes), `${name}:${tag} ${digest} answers ${content.status}`)
  }
}

/** Of what was pushed meanwhile, link files may have been copied and bytes not: that is said, by name. */
async function assertNothingIsHidden({ client, output }: ServedBerth): Promise<void> {
  for (const name of await listCatalog(client)) {
    const { tags } = jsonOf<{ tags: string[] }>(await client.listTags(name))
    for (const tag of tags) {
      const reply = await client.getManifest(name, tag, { headers: { accept: types.image } })
      assert.equal(reply.status, 200, `${name}:${tag} is listed`)
      const { config, layers } = jsonOf<{ config: { digest: string }; layers: { digest: string }[] }>(reply)
      for (const { digest } of [config, ...layers]) {
        const { status } = await client.headBlob(name, digest)
        const isNamed = new RegExp(`${digest.slice(7)}[^\\n]*a stored object is damaged`).test(output())
        assert.ok(status === 200 || (status === 404 && isNamed), `${name}:${tag} refers to ${digest}: ${status}`)
      }
    }
  }
}
