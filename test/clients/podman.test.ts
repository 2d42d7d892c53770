import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { makeRootArchive } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { deleteManifest, readWhole } from './support/wire.ts'

describe('podman', needs('podman', 'busybox'), () => {
  let stage: Stage
  let podman: Client

  before(async () => {
    stage = await setStage()
    const store = ['--root', join(stage.folder, 'store'), '--runroot', join(stage.folder, 'run')]
    const env = { REGISTRY_AUTH_FILE: stage.credentials }
    podman = client('podman', [...store, '--storage-driver', 'vfs'], { env })
  })
  after(() => stage?.strike())

  const plain = '--tls-verify=false'
  const logIn = (password: string): string[] => ['login', plain, '-u', user.name, '-p', password, stage.secured.host]
  const idOf = (image: string): Promise<string> => podman.succeed(['image', 'inspect', '--format', '{{.Id}}', image])

  async function importImage(name: string, tag: string): Promise<string> {
    const { path } = await makeRootArchive(stage.folder, name)
    await podman.succeed(['import', '-q', path, tag])
    return idOf(tag)
  }

  test('a wrong password is refused, the right one is taken', async () => {
    await importImage('early', `${stage.secured.host}/eco/early:1`)
    assert.match(await podman.fail(logIn('wrong')), /invalid username\/password|unauthorized/i)
    await podman.fail(['push', plain, `${stage.secured.host}/eco/early:1`])
    assert.match(await podman.talk(logIn(user.password)), /Login Succeeded/)
  })

  test('a pushed image comes back by tag and by digest with the same id', async () => {
    const image = `${stage.secured.host}/eco/bb:1`
    const id = await importImage('bb', image)
    await podman.succeed(['push', plain, image])
    const stored = await readWhole(stage.place, 'eco/bb', '1')
    // An image's id is the digest of its configuration.
    assert.ok(stored.children.includes(`sha256:${id}`))
    for (const name of [`${stage.secured.host}/eco/bb@${stored.digest}`, image]) {
      await podman.succeed(['rmi', '-f', id])
      assert.equal(await podman.succeed(['pull', '-q', plain, name]), id)
    }
  })

  test('pushing again sends no layer and changes nothing', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await importImage('again', `${recorder.host}/eco/again:1`)
      await podman.succeed(['push', plain, `${recorder.host}/eco/again:1`])
      const before = await readWhole(stage.open, 'eco/again', '1')
      const sent = transfers(recorder.exchanges, 'eco/again').length
      await podman.succeed(['push', plain, `${recorder.host}/eco/again:1`])
      assert.equal(transfers(recorder.exchanges, 'eco/again').length, sent)
      assert.deepEqual(await readWhole(stage.open, 'eco/again', '1'), before)
    } finally {
      await recorder.close()
    }
  })

  test('a layer is mounted from another repository', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await importImage('source', `${recorder.host}/eco/source:1`)
      await podman.succeed(['push', plain, `${recorder.host}/eco/source:1`])
      await podman.succeed(['push', plain, `${recorder.host}/eco/source:1`, `${recorder.host}/other/target:1`])
      assert.notEqual(mounts(recorder.exchanges).length, 0)
      await readWhole(stage.open, 'other/target', '1')
    } finally {
      await recorder.close()
    }
  })

  test('an index of two platforms is pushed and pulled by platform', async () => {
    const list = `${stage.secured.host}/eco/multi:1`
    await podman.succeed(['manifest', 'create', list])
    const ids = new Map<string, string>()
    for (const name of ['amd64', 'arm64']) {
      const { path } = await makeRootArchive(stage.folder, `multi-${name}`)
      await podman.succeed(['import', '-q', '--arch', name, path, `localhost/multi:${name}`])
      ids.set(name, await idOf(`localhost/multi:${name}`))
      await podman.succeed(['manifest', 'add', list, '--arch', name, `containers-storage:localhost/multi:${name}`])
    }
    await podman.succeed(['manifest', 'push', '-q', '--all', plain, list, `docker://${list}`])
    assert.equal((await readWhole(stage.place, 'eco/multi', '1')).children.length, 2)
    await podman.succeed(['manifest', 'rm', list])
    for (const [name, id] of ids) {
      await podman.succeed(['rmi', '-f', id])
      assert.equal(await podman.succeed(['pull', '-q', plain, '--arch', name, list]), id)
    }
  })

  test('a deleted image can no longer be pulled, and a new push brings it back', async () => {
    const image = `${stage.secured.host}/eco/bb:1`
    const { digest } = await readWhole(stage.place, 'eco/bb', '1')
    await deleteManifest(stage.place, 'eco/bb', digest)
    assert.match(await podman.fail(['pull', '-q', plain, image]), /manifest unknown|not found/i)
    await podman.succeed(['push', plain, image])
    await readWhole(stage.place, 'eco/bb', '1')
  })

  test('podman search finds a repository and lists its tags', async () => {
    const id = await importImage('found', `${stage.open.host}/eco/lighthouse:1`)
    await podman.succeed(['push', plain, id, `${stage.open.host}/eco/lighthouse:1`])
    const found = await podman.succeed(['search', plain, '--format', '{{.Name}}', `${stage.open.host}/lighthouse`])
    assert.match(found, /eco\/lighthouse$/m)
    const tags = ['search', plain, '--list-tags', '--format', '{{.Tag}}', `${stage.open.host}/eco/lighthouse`]
    // Older versions print a table whatever the format says.
    assert.match(await podman.succeed(tags), /(^|\s)1$/)
  })

  test('podman search with a password finds what that user may see', async () => {
    const found = await podman.succeed(['search', plain, '--format', '{{.Name}}', `${stage.secured.host}/multi`])
    assert.match(found, /eco\/multi$/m)
  })
})
