/** A volume whose facts only storage knows, while several processes serve it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from '../cli/command.ts'
import { startBerth } from '../support/berth-process.ts'
import { type Client, createClient, jsonOf } from '../support/client.ts'
import { type Built, blob, image, push } from '../support/image.ts'
import { askAll, startWithWorkers, until, untilServing } from './process.ts'

const workers = 3
const repositories = 30

test('an old volume is served whole by all workers while it is read, and so is what others changed', async (t) => {
  const scratch = await mkdtemp(join(tmpdir(), 'berth-workers-'))
  t.after(() => rm(scratch, { recursive: true, force: true }))
  const root = join(scratch, 'root')
  const pushed = await fill(root)
  await rm(join(root, 'berth'), { recursive: true })

  const first = await startWithWorkers(workers, { root })
  t.after(() => first.stop())
  await pullAll(createClient(first.url), pushed)
  await untilServing(createClient(first.url), workers)
  for (const [, reply] of await askAll(workers, () => createClient(first.url).listCatalog())) {
    assert.equal(jsonOf<{ repositories: string[] }>(reply).repositories.length, repositories)
  }
  await untilRead(root)
  await pullAll(createClient(first.url), pushed)
  await first.stop()

  // Another program points a tag elsewhere.
  const [other, changed] = [pushed.get('old/1')!, 'old/0']
  const link = join(root, 'docker/registry/v2/repositories', changed, '_manifests/tags/latest/current/link')
  await pushUnder(root, changed, other)
  await writeFile(link, other.digest)
  const second = await startWithWorkers(workers, { root })
  t.after(() => second.stop())
  const client = createClient(second.url)
  await until('the change to be known to all', async () => {
    const replies = [...(await askAll(workers, () => client.getManifest(changed, 'latest'))).values()]
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200])
    return replies.length === workers && replies.every(({ bytes }) => bytes.equals(other.bytes))
  })
  const { code, stdout } = await command(root, 'verify')
  assert.equal(code, 0, stdout)
})

const command = (root: string, ...args: string[]) =>
  run(args, { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: root }).result

async function fill(root: string): Promise<Map<string, Built>> {
  const berth = await startBerth({ root, env: { REGISTRY_HTTP_WORKERS: '1' } })
  const client = createClient(berth.url)
  const pushed = new Map<string, Built>()
  for (let n = 0; n < repositories; n++) {
    const name = `old/${n}`
    pushed.set(name, await push(client, name, image({ layers: [blob(50 + n)] }), 'latest'))
  }
  await berth.stop()
  return pushed
}

/** The manifest is there, the tag is not its own. */
async function pushUnder(root: string, name: string, built: Built): Promise<void> {
  const berth = await startBerth({ root, env: { REGISTRY_HTTP_WORKERS: '1' } })
  await push(createClient(berth.url), name, built, 'other')
  await berth.stop()
}

async function pullAll(client: Client, pushed: ReadonlyMap<string, Built>): Promise<void> {
  const pulls = [...pushed].map(async ([name, built]) => {
    assert.deepEqual((await client.getManifest(name, 'latest')).bytes, built.bytes, name)
    for (const { digest, bytes } of built.blobs) assert.deepEqual((await client.getBlob(name, digest)).bytes, bytes)
    assert.equal((await client.listTags(name)).status, 200)
  })
  await Promise.all(pulls)
}

async function untilRead(root: string): Promise<void> {
  await until('the end of reading', async () => {
    const { stdout } = await command(root, 'status', '--json')
    return JSON.parse(stdout).adoption.phase === 'done'
  })
}
