import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { makeRootArchive, mediaTypes } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { deleteManifest, readWhole } from './support/wire.ts'

describe('buildah', needs('buildah', 'busybox'), () => {
  let stage: Stage
  let buildah: Client

  before(async () => {
    stage = await setStage()
    const store = ['--root', join(stage.folder, 'store'), '--runroot', join(stage.folder, 'run')]
    const env = { REGISTRY_AUTH_FILE: stage.credentials }
    buildah = client('buildah', [...store, '--storage-driver', 'vfs'], { env })
  })
  after(() => stage?.strike())

  const plain = '--tls-verify=false'
  const logIn = (password: string): string[] => ['login', plain, '-u', user.name, '-p', password, stage.secured.host]

  /** Builds from nothing: one layer with the root file system and the command that starts it. */
  async function build(name: string, arch = 'amd64'): Promise<string> {
    const { path } = await makeRootArchive(stage.folder, name)
    const container = await buildah.succeed(['from', '--arch', arch, 'scratch'])
    await buildah.succeed(['add', '-q', container, path, '/'])
    await buildah.succeed(['config', '--arch', arch, '--cmd', '/bin/sh', container])
    const id = await buildah.succeed(['commit', '-q', container, `localhost/${name}:1`])
    await buildah.succeed(['rm', container])
    return id
  }

  test('a wrong password is refused, the right one is taken', async () => {
    const id = await build('early')
    assert.match(await buildah.fail(logIn('wrong')), /invalid username\/password|unauthorized/i)
    await buildah.fail(['push', '-q', plain, id, `docker://${stage.secured.host}/eco/early:1`])
    assert.match(await buildah.talk(logIn(user.password)), /Login Succeeded/)
  })

  test('a built image is pushed in both formats and comes back by tag and by digest', async () => {
    const id = await build('bb')
    const image = `${stage.secured.host}/eco/bb`
    const digestFile = join(stage.folder, 'digest')
    await buildah.succeed(['push', '-q', plain, '--digestfile', digestFile, id, `docker://${image}:1`])
    const stored = await readWhole(stage.place, 'eco/bb', '1')
    assert.equal(stored.mediaType, mediaTypes.manifest)
    assert.equal(stored.digest, await readFile(digestFile, 'utf8'))
    for (const name of [`${image}@${stored.digest}`, `${image}:1`]) {
      await buildah.succeed(['rmi', '-f', id])
      assert.equal(await buildah.succeed(['pull', '-q', plain, `docker://${name}`]), id)
    }
    await buildah.succeed(['push', '-q', plain, '--format=v2s2', id, `docker://${image}:docker`])
    const converted = await readWhole(stage.place, 'eco/bb', 'docker')
    assert.equal(converted.mediaType, 'application/vnd.docker.distribution.manifest.v2+json')
  })

  test('pushing again sends no layer, and another repository mounts it', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      const id = await build('source')
      const push = (name: string): Promise<string> =>
        buildah.succeed(['push', '-q', plain, id, `docker://${recorder.host}/${name}:1`])
      await push('eco/source')
      const sent = transfers(recorder.exchanges, 'eco/source').length
      await push('eco/source')
      assert.equal(transfers(recorder.exchanges, 'eco/source').length, sent)
      await push('other/target')
      assert.notEqual(mounts(recorder.exchanges).length, 0)
      await readWhole(stage.open, 'other/target', '1')
    } finally {
      await recorder.close()
    }
  })

  test('an index of two platforms is pushed with all its images', async () => {
    await buildah.succeed(['manifest', 'create', 'multi'])
    for (const name of ['amd64', 'arm64']) {
      const id = await build(`multi-${name}`, name)
      await buildah.succeed(['manifest', 'add', '--arch', name, 'multi', `containers-storage:${id}`])
    }
    const target = `${stage.secured.host}/eco/multi:1`
    await buildah.succeed(['manifest', 'push', '-q', '--all', plain, 'multi', `docker://${target}`])
    const stored = await readWhole(stage.place, 'eco/multi', '1')
    assert.equal(stored.mediaType, mediaTypes.index)
    assert.equal(stored.children.length, 2)
    await buildah.succeed(['pull', '-q', plain, `docker://${target}`])
  })

  test('a deleted image can no longer be pulled', async () => {
    const { digest } = await readWhole(stage.place, 'eco/bb', '1')
    await deleteManifest(stage.place, 'eco/bb', digest)
    const name = `docker://${stage.secured.host}/eco/bb:1`
    assert.match(await buildah.fail(['pull', '-q', plain, '--policy=always', name]), /manifest unknown|not found/i)
  })
})
