/** The balancer of docker-compose.yml, as it stands in deploy/balancer.conf, in front of three nodes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../support/berth-process.ts'
import { createClient, header } from '../support/client.ts'
import { blob, image, push } from '../support/image.ts'
import { projectRoot, tool } from '../support/tools.ts'
import { startCluster } from './cluster.ts'
import { needsCluster } from './services.ts'

/** The file as it is, but for the names and ports that a container brings. */
async function configure(folder: string, port: number, nodes: readonly string[]): Promise<string> {
  const written = await readFile(join(projectRoot, 'deploy/balancer.conf'), 'utf8')
  assert.deepEqual(
    [...written.matchAll(/server (node\d):5000/g)].map(([, name]) => name),
    ['node1', 'node2', 'node3'],
  )
  const adapted = nodes
    .reduce((text, address, n) => text.replace(`node${n + 1}:5000`, address), written)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const path = join(folder, 'nginx.conf')
  await writeFile(
    path,
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
     events { worker_connections 256; } http { access_log off; ${paths.join(' ')} ${adapted} }`,
  )
  return path
}

async function startNginx(t: TestContext, nodes: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-nginx-'))
  const port = await freePort()
  const path = await configure(folder, port, nodes)
  const log = join(folder, 'error.log')
  const child = spawn(tool('nginx'), ['-c', path, '-e', log], { stdio: 'ignore' })
  t.after(async () => {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  })
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${url}/v2/`).catch(() => undefined)
    if (answer?.status === 200) return url
    if (tries === 100 || child.exitCode !== null) assert.fail(`no answer: ${await readFile(log, 'utf8')}`)
    await sleep(100)
  }
}

test(
  'any of the nodes answers through the balancer, also when one of them is killed',
  needsCluster('nginx'),
  async (t) => {
    const cluster = await startCluster({ env: { REGISTRY_STORAGE_REDIRECT_DISABLE: 'true' } })
    t.after(() => cluster.stop())
    const url = await startNginx(
      t,
      cluster.nodes.map((node) => new URL(node.url).host),
    )
    const client = createClient(url)
    const layer = blob(9_000_000)
    const built = image({ layers: [layer] })
    await push(client, 'team/app', built, 'v1')
    const begun = await client.startUpload('team/app')
    assert.ok(
      header(begun, 'location').startsWith('/v2/team/app/blobs/uploads/') || header(begun, 'location').startsWith(url),
    )
    await cluster.nodes[0]?.kill()
    for (let n = 0; n < 6; n++) {
      assert.equal((await client.getManifest('team/app', 'v1')).status, 200)
      assert.deepEqual((await client.getBlob('team/app', layer.digest)).bytes, layer.bytes)
    }
    await push(client, 'team/app', image({ layers: [blob(100)] }), 'v2')
    assert.equal((await client.getManifest('team/app', 'v2')).status, 200)
  },
)
