import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { startContainerd } from './support/daemons.ts'
import { type Image, makeImage, writeLayoutArchive } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { deleteManifest, readWhole } from './support/wire.ts'

describe('containerd', needs('containerd', 'ctr', 'busybox'), () => {
  let stage: Stage
  let ctr: Client
  let image: Image

  before(async () => {
    stage = await setStage()
    const daemon = await startContainerd(join(stage.folder, 'containerd'))
    stage.onLeave(daemon.stop)
    ctr = client('ctr', ['-a', daemon.socket, '-n', 'berth'], {})
    image = await makeImage(stage.folder)
    const archive = await writeLayoutArchive(image, image.index, join(stage.folder, 'index'))
    await ctr.succeed(['images', 'import', '--no-unpack', '--all-platforms', '--base-name', 'local/multi', archive])
  })
  after(() => stage?.strike())

  const credentials = (password: string): string[] => ['--plain-http', '-u', `${user.name}:${password}`]
  const open = ['--plain-http']

  /** Forgets every image and its bytes, so that the next pull has to fetch them. */
  async function forget(...names: readonly string[]): Promise<void> {
    await ctr.succeed(['images', 'rm', '--sync', ...names])
  }

  async function digestsHeld(): Promise<Set<string>> {
    return new Set((await ctr.succeed(['content', 'ls', '-q'])).split('\n'))
  }

  test('a wrong password is refused for pushing and pulling, the right one is taken', async () => {
    const target = `${stage.secured.host}/eco/login:1`
    await ctr.fail(['images', 'push', ...credentials('wrong'), target, 'local/multi:it'])
    await ctr.succeed(['images', 'push', ...credentials(user.password), target, 'local/multi:it'])
    await ctr.fail(['images', 'pull', ...credentials('wrong'), target])
  })

  test('an index pushed whole comes back by tag and by digest with every byte', async () => {
    const name = `${stage.secured.host}/eco/multi`
    await ctr.succeed(['images', 'push', ...credentials(user.password), `${name}:1`, 'local/multi:it'])
    const stored = await readWhole(stage.place, 'eco/multi', '1')
    assert.equal(stored.digest, image.index.digest)
    await forget('local/multi:it')
    assert.equal((await digestsHeld()).has(stored.digest), false)
    for (const reference of [`${name}:1`, `${name}@${stored.digest}`]) {
      await ctr.succeed(['images', 'pull', ...credentials(user.password), '--all-platforms', reference])
      const held = await digestsHeld()
      for (const digest of [...image.blobs.keys()]) assert.ok(held.has(digest), digest)
      if (reference.endsWith(':1')) await forget(reference)
      else await ctr.succeed(['images', 'tag', reference, 'local/multi:it'])
    }
  })

  test('pushing again sends nothing and changes nothing', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      const push = ['images', 'push', ...open, `${recorder.host}/eco/again:1`, 'local/multi:it']
      await ctr.succeed(push)
      const sent = transfers(recorder.exchanges, 'eco/again').length
      await ctr.succeed(push)
      assert.equal(transfers(recorder.exchanges, 'eco/again').length, sent)
      assert.equal((await readWhole(stage.open, 'eco/again', '1')).digest, image.index.digest)
    } finally {
      await recorder.close()
    }
  })

  test('what was pulled from one repository is mounted into another', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await ctr.succeed(['images', 'push', ...open, `${recorder.host}/eco/source:1`, 'local/multi:it'])
      // containerd notes where bytes came from when it pulls them, and only then.
      await forget('local/multi:it', `${stage.secured.host}/eco/multi@${image.index.digest}`)
      await ctr.succeed(['images', 'pull', ...open, '--all-platforms', `${recorder.host}/eco/source:1`])
      await ctr.succeed(['images', 'push', ...open, `${recorder.host}/other/target:1`, `${recorder.host}/eco/source:1`])
      assert.equal(mounts(recorder.exchanges).length, 4)
      assert.equal(transfers(recorder.exchanges, 'other/target').length, 0)
      await readWhole(stage.open, 'other/target', '1')
    } finally {
      await recorder.close()
    }
  })

  test('a deleted image can no longer be pulled', async () => {
    await deleteManifest(stage.place, 'eco/multi', image.index.digest)
    const name = `${stage.secured.host}/eco/multi:1`
    assert.match(await ctr.fail(['images', 'pull', ...credentials(user.password), name]), /not found/)
  })
})
