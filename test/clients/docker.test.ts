import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { startDockerd } from './support/daemons.ts'
import { hostArchitecture, makeRootArchive } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { deleteManifest, readWhole } from './support/wire.ts'

describe('docker', needs('docker', 'dockerd', 'busybox'), () => {
  let stage: Stage
  let docker: Client

  before(async () => {
    stage = await setStage()
    const daemon = await startDockerd(join(stage.folder, 'dockerd'))
    stage.onLeave(daemon.stop)
    const env = { DOCKER_HOST: `unix://${daemon.socket}`, DOCKER_CONFIG: join(stage.folder, 'docker') }
    docker = client('docker', [], { env })
  })
  after(() => stage?.strike())

  const logIn = (host: string, password: string): string[] => ['login', '-u', user.name, '-p', password, host]
  const idOf = (image: string): Promise<string> => docker.succeed(['image', 'inspect', '--format', '{{.Id}}', image])

  async function importImage(name: string, tag: string): Promise<string> {
    const { path, marker } = await makeRootArchive(stage.folder, name)
    await docker.succeed(['import', '-c', 'CMD ["/bin/sh"]', path, tag])
    return marker
  }

  test('a wrong password is refused, the right one is taken', async () => {
    const complaint = await docker.fail(logIn(stage.secured.host, 'wrong'))
    assert.match(complaint, /unauthorized|401/i)
    const { path } = await makeRootArchive(stage.folder, 'early')
    await docker.succeed(['import', path, `${stage.secured.host}/eco/early:1`])
    await docker.fail(['push', `${stage.secured.host}/eco/early:1`])
    assert.match(await docker.talk(logIn(stage.secured.host, user.password)), /Login Succeeded/)
  })

  test('a pushed image comes back by tag and by digest and runs', async () => {
    const image = `${stage.secured.host}/eco/bb:1`
    const marker = await importImage('bb', image)
    await docker.succeed(['push', image])
    const stored = await readWhole(stage.place, 'eco/bb', '1')
    for (const name of [image, `${stage.secured.host}/eco/bb@${stored.digest}`]) {
      const id = await idOf(image)
      await docker.succeed(['rmi', '-f', id])
      assert.match(await docker.talk(['pull', name]), new RegExp(stored.digest))
      assert.equal(await idOf(name), id)
      assert.equal(await docker.succeed(['run', '--rm', '--network=none', name, 'busybox', 'cat', '/marker']), marker)
      await docker.succeed(['tag', name, image])
    }
  })

  test('pushing again says that every layer exists and changes nothing', async () => {
    const before = await readWhole(stage.place, 'eco/bb', '1')
    assert.match(await docker.talk(['push', `${stage.secured.host}/eco/bb:1`]), /Layer already exists/)
    assert.deepEqual(await readWhole(stage.place, 'eco/bb', '1'), before)
  })

  test('a layer is mounted from another repository', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await importImage('source', `${recorder.host}/eco/source:1`)
      await docker.succeed(['push', `${recorder.host}/eco/source:1`])
      await docker.succeed(['tag', `${recorder.host}/eco/source:1`, `${recorder.host}/other/target:1`])
      assert.match(await docker.talk(['push', `${recorder.host}/other/target:1`]), /Mounted from eco\/source/)
      assert.equal(mounts(recorder.exchanges).length, 1)
      // The configuration is sent, the layer is not: one PATCH and one PUT.
      assert.equal(transfers(recorder.exchanges, 'other/target').length, 2)
      await readWhole(stage.open, 'other/target', '1')
    } finally {
      await recorder.close()
    }
  })

  test('an index of two platforms is created and pulled by platform', async () => {
    const list = `${stage.secured.host}/eco/multi:1`
    const parts = ['amd64', 'arm64'].map((name) => ({ name, image: `${stage.secured.host}/eco/multi:${name}` }))
    for (const { name, image } of parts) {
      await importImage(`multi-${name}`, image)
      await docker.succeed(['push', image])
    }
    await docker.succeed(['manifest', 'create', '--insecure', list, ...parts.map(({ image }) => image)])
    for (const { name, image } of parts) await docker.succeed(['manifest', 'annotate', '--arch', name, list, image])
    const pushed = await docker.succeed(['manifest', 'push', '--insecure', list])
    const stored = await readWhole(stage.place, 'eco/multi', '1')
    assert.equal(pushed, stored.digest)
    assert.equal(stored.children.length, 2)
    const own = await idOf(`${stage.secured.host}/eco/multi:${hostArchitecture}`)
    await docker.succeed(['rmi', '-f', own])
    await docker.succeed(['pull', list])
    assert.equal(await idOf(list), own)
  })

  test('a deleted image can no longer be pulled, and a new push brings it back', async () => {
    const image = `${stage.secured.host}/eco/bb:1`
    const { digest } = await readWhole(stage.place, 'eco/bb', '1')
    await deleteManifest(stage.place, 'eco/bb', digest)
    assert.match(await docker.fail(['pull', image]), /manifest unknown|not found/i)
    await docker.succeed(['push', image])
    assert.equal((await readWhole(stage.place, 'eco/bb', '1')).digest, digest)
  })

  test('docker search finds a repository by a part of its name', async () => {
    await importImage('found', `${stage.open.host}/eco/lighthouse:1`)
    await docker.succeed(['push', `${stage.open.host}/eco/lighthouse:1`])
    const found = await docker.succeed(['search', '--format', '{{.Name}}', `${stage.open.host}/lighthouse`])
    assert.match(found, /eco\/lighthouse$/m)
    assert.equal(await docker.succeed(['search', '--format', '{{.Name}}', `${stage.open.host}/nothing-like-it`]), '')
  })
})
