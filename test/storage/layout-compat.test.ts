/** What Berth wrote, served by the registry that the layout comes from. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FilesystemDriver } from '../../storage/drivers/filesystem/filesystem.ts'
import { openLocal } from '../contracts/local-registry.ts'
import { pushImage } from '../contracts/push.ts'
import { freePort } from '../support/berth-process.ts'
import { requireTool } from '../support/tools.ts'
import { scratchFolder } from './tree.ts'

/** Serves `root` until the test ends. */
async function serveWithDistribution(t: TestContext, program: string, root: string): Promise<string> {
  const port = await freePort()
  const config = join(scratchFolder(t), 'config.yml')
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${root}}, delete: {enabled: true}}\n` +
      `http: {addr: '127.0.0.1:${port}'}\n`,
  )
  const child = spawn(program, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const gone = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${said}`)
    if (await fetch(`${url}/v2/`).catch(() => undefined)) return url
    await sleep(50)
  }
}

const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())

test('docker-registry serves what Berth wrote, and Berth deleted', async (t) => {
  const program = requireTool(t, 'docker-registry')
  if (!program) return
  const root = scratchFolder(t)
  const local = await openLocal(new FilesystemDriver(root))
  const repository = local.repository('library/alpine')
  const kept = await pushImage(repository, 'kept')
  const large = await pushImage(repository, 'large', 'large', { annotations: { text: 'ä'.repeat(50_000) } })
  const gone = await pushImage(repository, 'gone')
  await repository.manifests.delete({ digest: gone.digest })
  await pushImage(local.repository('other'), 'kept', 'kept')
  await local.parts.settler.settleAll()
  await local.close()

  const url = await serveWithDistribution(t, program, root)
  const accept = { headers: { accept: 'application/vnd.oci.image.manifest.v1+json' } }
  for (const image of [kept, large]) {
    for (const reference of [image === kept ? 'kept' : 'large', image.digest]) {
      const response = await fetch(`${url}/v2/library/alpine/manifests/${reference}`, accept)
      assert.equal(response.status, 200, reference)
      assert.equal(response.headers.get('docker-content-digest'), image.digest)
      assert.ok((await bytesOf(response)).equals(image.bytes))
    }
    for (const [digest, content] of [
      [image.config, image.parts.config],
      [image.layer, image.parts.layer],
    ] as const) {
      const response = await fetch(`${url}/v2/library/alpine/blobs/${digest}`)
      assert.ok((await bytesOf(response)).equals(content))
    }
  }
  for (const reference of ['gone', gone.digest]) {
    assert.equal((await fetch(`${url}/v2/library/alpine/manifests/${reference}`, accept)).status, 404)
  }
  const catalog = await fetch(`${url}/v2/_catalog`)
  assert.deepEqual(await catalog.json(), { repositories: ['library/alpine', 'other'] })
  const tags = (await (await fetch(`${url}/v2/library/alpine/tags/list`)).json()) as { tags: string[] }
  assert.deepEqual(tags.tags.sort(), ['kept', 'large'])
})
