import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { client } from '../clients/support/command.ts'
import { startDockerd, unmountBelow } from '../clients/support/daemons.ts'
import { digestOf, type Image, makeImage, makeRootArchive, writeLayout } from '../clients/support/image.ts'
import { readWhole } from '../clients/support/wire.ts'
import { type RoundRobin, startRoundRobin } from '../support/round-robin.ts'
import { needs } from '../support/tools.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { createNode } from './node.ts'
import { needsCluster } from './services.ts'

describe('where each request goes to another node,', needsCluster('busybox'), () => {
  let folder: string
  let cluster: Cluster
  let image: Image
  let layout: string
  /** Addresses before the same store: clients get blobs from S3 at one, and from the nodes at the other. */
  const fronts = new Map<string, RoundRobin>()
  const through: Awaited<ReturnType<typeof createNode>>[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'berth-clients-'))
    await writeFile(join(folder, 'none.json'), '{}')
    const env = { REGISTRY_LOG_ACCESSLOG_DISABLED: 'true' }
    cluster = await startCluster({ nodes: 2, env })
    const { services } = cluster
    for (let n = 0; n < 2; n++) {
      through.push(await createNode(await services.connect(), { ...env, REGISTRY_STORAGE_REDIRECT_DISABLE: 'true' }))
    }
    await Promise.all(through.map((node) => node.start()))
    fronts.set('with redirect', cluster.front).set('without redirect', await startRoundRobin(through))
    image = await makeImage(folder)
    layout = await writeLayout(image, image.platforms[0].manifest, join(folder, 'single'))
  })
  after(async () => {
    await fronts.get('without redirect')?.stop()
    await Promise.all(through.map((node) => node.kill()))
    await cluster?.stop()
    await unmountBelow(folder)
    await rm(folder, { recursive: true, force: true })
  })

  const hostOf = (way: string): string => fronts.get(way)!.host
  const ways = ['with redirect', 'without redirect']

  describe('docker', needs('docker', 'dockerd'), () => {
    test('pushes an image and pulls it again', async () => {
      const daemon = await startDockerd(join(folder, 'dockerd'))
      const env = { DOCKER_HOST: `unix://${daemon.socket}`, DOCKER_CONFIG: join(folder, 'docker') }
      const docker = client('docker', [], { env })
      try {
        const { path, marker } = await makeRootArchive(folder, 'docker')
        for (const way of ways) {
          const name = `${hostOf(way)}/docker/${way.replaceAll(' ', '-')}:1`
          await docker.succeed(['import', '-c', 'CMD ["/bin/sh"]', path, name])
          await docker.succeed(['push', name])
          await docker.succeed(['rmi', '-f', await docker.succeed(['image', 'inspect', '--format', '{{.Id}}', name])])
          await docker.succeed(['pull', name])
          const run = ['run', '--rm', '--network=none', name, 'busybox', 'cat', '/marker']
          assert.equal(await docker.succeed(run), marker, way)
        }
      } finally {
        await daemon.stop()
      }
    })
  })

  describe('skopeo', needs('skopeo'), () => {
    for (const way of ways) {
      test(`copies an image there and back, ${way}`, async () => {
        const skopeo = client('skopeo', [], { env: { REGISTRY_AUTH_FILE: join(folder, 'none.json') } })
        const name = `docker://${hostOf(way)}/skopeo/${way.replaceAll(' ', '-')}:1`
        const back = join(folder, `skopeo ${way}`)
        await skopeo.succeed(['copy', '--dest-tls-verify=false', `oci:${layout}:it`, name])
        await skopeo.succeed(['copy', '--src-tls-verify=false', name, `dir:${back}`])
        assert.equal(digestOf(await readFile(join(back, 'manifest.json'))), image.platforms[0].manifest.digest)
      })
    }
  })

  describe('crane', needs('crane'), () => {
    for (const way of ways) {
      test(`pushes an image that is valid afterwards, ${way}`, async () => {
        const crane = client('crane', [], { env: { DOCKER_CONFIG: join(folder, 'docker') } })
        const repository = `crane/${way.replaceAll(' ', '-')}`
        await crane.succeed(['push', layout, `${hostOf(way)}/${repository}:1`])
        await crane.succeed(['validate', '--remote', `${hostOf(way)}/${repository}:1`])
        const { digest } = await readWhole({ url: `http://${hostOf(way)}` }, repository, '1')
        assert.equal(digest, image.platforms[0].manifest.digest)
      })
    }
  })

  describe('podman', needs('podman'), () => {
    for (const way of ways) {
      test(`pulls an image and pushes it under another name, ${way}`, async () => {
        // podman takes no longer path for it than 50 characters.
        const stores = ['--root', join(folder, 'podman'), '--runroot', join(folder, 'run')]
        const podman = client('podman', [...stores, '--storage-driver=vfs'], {
          env: { REGISTRY_AUTH_FILE: join(folder, 'none.json') },
        })
        const [name, other] = ['from', 'to'].map((end) => `${hostOf(way)}/podman-${end}/${way.replaceAll(' ', '-')}:1`)
        const { path } = await makeRootArchive(folder, `podman ${way}`)
        await podman.succeed(['import', '-q', path, name!])
        await podman.succeed(['push', '-q', '--tls-verify=false', name!])
        await podman.succeed(['rmi', '-f', name!])
        await podman.succeed(['pull', '-q', '--tls-verify=false', name!])
        await podman.succeed(['push', '-q', '--tls-verify=false', name!, other!])
        await readWhole({ url: `http://${hostOf(way)}` }, `podman-to/${way.replaceAll(' ', '-')}`, '1')
      })
    }
  })
})
