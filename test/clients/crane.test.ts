import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { type Image, makeImage, makeRootArchive, writeLayout } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { readWhole, statusOfManifest } from './support/wire.ts'

describe('crane', needs('crane', 'busybox'), () => {
  let stage: Stage
  let crane: Client
  let image: Image
  let single: string

  before(async () => {
    stage = await setStage()
    crane = client('crane', [], { env: { DOCKER_CONFIG: join(stage.folder, 'docker') } })
    image = await makeImage(stage.folder)
    single = await writeLayout(image, image.platforms[0].manifest, join(stage.folder, 'single'))
  })
  after(() => stage?.strike())

  const at = (name: string): string => `${stage.secured.host}/${name}`
  const logIn = (password: string): string[] => ['auth', 'login', '-u', user.name, '-p', password, stage.secured.host]

  test('a wrong password is refused, the right one is taken', async () => {
    // crane only notes the password; the registry is asked when it is used.
    await crane.succeed(logIn('wrong'))
    assert.match(await crane.fail(['push', single, at('eco/early:1')]), /UNAUTHORIZED|401/i)
    await crane.succeed(logIn(user.password))
    await crane.succeed(['catalog', stage.secured.host])
  })

  test('a pushed image comes back by tag and by digest and is valid', async () => {
    const { digest } = image.platforms[0].manifest
    await crane.succeed(['push', single, at('eco/bb:1')])
    assert.equal((await readWhole(stage.place, 'eco/bb', '1')).digest, digest)
    assert.equal(await crane.succeed(['digest', at('eco/bb:1')]), digest)
    for (const name of ['eco/bb:1', `eco/bb@${digest}`]) {
      await crane.succeed(['validate', '--remote', at(name)])
      const folder = join(stage.folder, `pulled-${name.length}`)
      await crane.succeed(['pull', '--format=oci', at(name), folder])
      // `validate` of crane takes no layout; pushing what was pulled proves the same.
      await crane.succeed(['push', '--index', folder, at(`eco/copies:${name.length}`)])
      const stored = await readWhole(stage.place, 'eco/copies', String(name.length))
      assert.deepEqual(stored.children, [digest])
    }
  })

  test('pushing again sends nothing, and a copy to another repository mounts', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await crane.succeed(['push', single, `${recorder.host}/eco/source:1`])
      const sent = transfers(recorder.exchanges, 'eco/source').length
      await crane.succeed(['push', single, `${recorder.host}/eco/source:1`])
      assert.equal(transfers(recorder.exchanges, 'eco/source').length, sent)
      await crane.succeed(['copy', `${recorder.host}/eco/source:1`, `${recorder.host}/other/target:1`])
      assert.equal(mounts(recorder.exchanges).length, 2)
      assert.equal(transfers(recorder.exchanges, 'other/target').length, 0)
      const original = await readWhole(stage.open, 'eco/source', '1')
      assert.deepEqual(await readWhole(stage.open, 'other/target', '1'), original)
    } finally {
      await recorder.close()
    }
  })

  test('an index of two platforms is put together and pulled by platform', async () => {
    for (const { architecture, manifest } of image.platforms) {
      const folder = await writeLayout(image, manifest, join(stage.folder, `layout-${architecture}`))
      await crane.succeed(['push', folder, at(`eco/multi:${architecture}`)])
    }
    const parts = image.platforms.flatMap(({ architecture }) => ['-m', at(`eco/multi:${architecture}`)])
    await crane.succeed(['index', 'append', ...parts, '-t', at('eco/multi:1')])
    assert.equal((await readWhole(stage.place, 'eco/multi', '1')).children.length, 2)
    for (const { architecture, manifest } of image.platforms) {
      const asked = ['digest', '--platform', `linux/${architecture}`, at('eco/multi:1')]
      assert.equal(await crane.succeed(asked), manifest.digest)
    }
    await crane.succeed(['copy', at('eco/multi:1'), at('eco/multi-copy:1')])
    await readWhole(stage.place, 'eco/multi-copy', '1')
  })

  test('a layer is appended to an image that is in the registry', async () => {
    const { path } = await makeRootArchive(stage.folder, 'appended')
    const printed = await crane.succeed(['append', '-b', at('eco/bb:1'), '-f', path, '-t', at('eco/bb:appended')])
    const stored = await readWhole(stage.place, 'eco/bb', 'appended')
    assert.ok(printed.endsWith(stored.digest))
    assert.equal(stored.children.length, 3)
  })

  test('repositories and tags are listed, and a deleted manifest is gone', async () => {
    assert.match(await crane.succeed(['catalog', stage.secured.host]), /^eco\/bb$/m)
    assert.deepEqual((await crane.succeed(['ls', at('eco/bb')])).split('\n').sort(), ['1', 'appended'])
    await crane.succeed(['delete', at(`eco/bb@${image.platforms[0].manifest.digest}`)])
    assert.equal(await statusOfManifest(stage.place, 'eco/bb', '1'), 404)
    assert.deepEqual((await crane.succeed(['ls', at('eco/bb')])).split('\n'), ['appended'])
    assert.match(await crane.fail(['digest', at('eco/bb:1')]), /404|MANIFEST_UNKNOWN/)
  })
})
