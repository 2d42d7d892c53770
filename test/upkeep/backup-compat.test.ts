/** A backup, served by the registry that the layout comes from. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/berth-process.ts'
import { requireTool } from '../support/tools.ts'
import { openBackedUp } from './backup-world.ts'
import { pushBlob, pushImage } from './collecting.ts'

/** Serves `root` until the test ends. */
async function serveWithDistribution(t: TestContext, program: string, root: string): Promise<string> {
  const port = await freePort()
  const config = `${root}/config.yml`
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${root}}}\n` +
      `http: {addr: '127.0.0.1:${port}'}\n`,
  )
  const child = spawn(program, ['serve', config], { stdio: 'ignore' })
  const gone = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await gone
  })
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error('docker-registry ended')
    if (await fetch(`${url}/v2/`).catch(() => undefined)) return url
    await sleep(50)
  }
}

test('docker-registry serves a backup', async (t) => {
  const program = requireTool(t, 'docker-registry')
  if (!program) return
  const store = await openBackedUp(t)
  const layer = await pushBlob(store.repository, 'x'.repeat(2_000_000))
  const { digest } = await pushImage(store.repository, 'v1', [layer])
  await pushImage(store.repository, 'v2')
  await store.backUp()
  const url = await serveWithDistribution(t, program, store.target)
  const accept = { headers: { accept: 'application/vnd.oci.image.manifest.v1+json' } }
  const manifest = await fetch(`${url}/v2/a/b/manifests/v1`, accept)
  assert.deepEqual([manifest.status, manifest.headers.get('docker-content-digest')], [200, digest])
  const blob = await fetch(`${url}/v2/a/b/blobs/${layer}`)
  assert.equal((await blob.text()).length, 2_000_000)
  const { tags } = (await (await fetch(`${url}/v2/a/b/tags/list`)).json()) as { tags: string[] }
  assert.deepEqual(tags.toSorted(), ['v1', 'v2'])
})
