/** A registry that is killed again and again in the middle of pushes and deletes. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import { type Client, createClient, jsonOf } from '../support/client.ts'
import { type Built, blob, image, push } from '../support/image.ts'

const rounds = 6
const writers = 8
const repositories = ['kill/a', 'kill/b']

/** What was acknowledged: the image that a tag must have, or nothing where its deletion was acknowledged. */
type Acknowledged = Map<string, Built | undefined>

/** One writer with tags of its own, until the registry is gone. An answer that never came decides nothing. */
async function write(client: Client, name: string, writer: number, known: Acknowledged): Promise<void> {
  for (let turn = 0; ; turn++) {
    const tag = `${name}:w${writer}-${turn % 3}`
    const built = image({ layers: [blob(randomBytes(3000)), blob(randomBytes(70_000))] })
    const reference = tag.slice(name.length + 1)
    try {
      await push(client, name, built, reference)
      known.set(tag, built)
      if (turn % 4 !== 3) continue
      known.delete(tag)
      if ((await client.deleteManifest(name, reference)).status === 202) known.set(tag, undefined)
    } catch (error) {
      // The tag may point to either image now; what it points to must be whole all the same.
      known.delete(tag)
      if (error instanceof assert.AssertionError) throw error
      return
    }
  }
}

async function assertWhole(client: Client, name: string, bytes: Buffer): Promise<void> {
  const { config, layers } = JSON.parse(bytes.toString()) as Record<'config' | 'layers', never>
  for (const { digest, size } of [config, ...(layers as { digest: string; size: number }[])]) {
    const reply = await client.getBlob(name, digest)
    assert.deepEqual([reply.status, reply.bytes.length], [200, size], digest)
  }
}

async function assertKept(client: Client, known: Acknowledged): Promise<void> {
  for (const [tag, built] of known) {
    const [name = '', reference = ''] = tag.split(':')
    const reply = await client.getManifest(name, reference)
    if (!built) assert.equal(reply.status, 404, `${tag} was deleted`)
    else assert.ok(reply.bytes.equals(built.bytes), `${tag} is what was acknowledged`)
  }
}

/** Every tag that is listed can be pulled, whether its push was acknowledged or not, and its link file says the same. */
async function assertConsistent(client: Client, root: string): Promise<void> {
  for (const name of repositories) {
    const listed = await client.listTags(name)
    if (listed.status === 404) continue
    for (const tag of jsonOf<{ tags: string[] }>(listed).tags) {
      const reply = await client.getManifest(name, tag)
      assert.equal(reply.status, 200, `${name}:${tag} is listed`)
      await assertWhole(client, name, reply.bytes)
      const link = join(root, 'docker/registry/v2/repositories', name, '_manifests/tags', tag, 'current/link')
      assert.equal(await readFile(link, 'utf8'), reply.headers['docker-content-digest'])
    }
  }
}

async function writeUntilKilled(berth: BerthProcess, round: number, known: Acknowledged): Promise<void> {
  const client = createClient(berth.url)
  const work = Array.from({ length: writers }, (_, writer) =>
    write(client, repositories[writer % 2] ?? '', round * writers + writer, known),
  )
  await sleep(200 + Math.random() * 600)
  await berth.kill()
  await Promise.all(work)
}

test('what was acknowledged survives being killed, and nothing that is listed is broken', async () => {
  const root = await mkdtemp(join(tmpdir(), 'berth-kill-'))
  const known: Acknowledged = new Map()
  try {
    for (let round = 0; round < rounds; round++) {
      await writeUntilKilled(await startBerth({ root }), round, known)
      const berth = await startBerth({ root })
      const client = createClient(berth.url)
      await assertKept(client, known)
      await berth.stop()
      const again = await startBerth({ root })
      await assertConsistent(createClient(again.url), root)
      await again.stop()
    }
    assert.ok(known.size > rounds, `${known.size} acknowledged tags are too few to prove anything`)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})
