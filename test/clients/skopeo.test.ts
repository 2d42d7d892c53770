import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { digestOf, type Image, makeImage, writeLayout } from './support/image.ts'
import { mounts, recordExchanges } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { readWhole, statusOfManifest } from './support/wire.ts'

describe('skopeo', needs('skopeo', 'busybox'), () => {
  let stage: Stage
  let skopeo: Client
  let image: Image
  let single: string
  let index: string

  before(async () => {
    stage = await setStage()
    skopeo = client('skopeo', [], { env: { REGISTRY_AUTH_FILE: stage.credentials } })
    image = await makeImage(stage.folder)
    single = `oci:${await writeLayout(image, image.platforms[0].manifest, join(stage.folder, 'single'))}:it`
    index = `oci:${await writeLayout(image, image.index, join(stage.folder, 'index'))}:it`
  })
  after(() => stage?.strike())

  const at = (name: string): string => `docker://${stage.secured.host}/${name}`
  const plain = '--tls-verify=false'
  const push = ['copy', '--dest-tls-verify=false']
  const pull = ['copy', '--src-tls-verify=false']
  const logIn = (password: string): string[] => ['login', plain, '-u', user.name, '-p', password, stage.secured.host]

  test('a wrong password is refused, the right one is taken', async () => {
    assert.match(await skopeo.fail(logIn('wrong')), /unauthorized|invalid username\/password|401/i)
    await skopeo.fail([...push, single, at('eco/early:1')])
    assert.match(await skopeo.talk(logIn(user.password)), /Login Succeeded/)
  })

  test('a pushed image comes back by tag and by digest with the same bytes', async () => {
    const { digest } = image.platforms[0].manifest
    await skopeo.succeed([...push, single, at('eco/bb:1')])
    assert.equal((await readWhole(stage.place, 'eco/bb', '1')).digest, digest)
    for (const [name, reference] of [
      ['by-tag', 'eco/bb:1'],
      ['by-digest', `eco/bb@${digest}`],
    ] as const) {
      const folder = join(stage.folder, name)
      await skopeo.succeed([...pull, at(reference), `dir:${folder}`])
      assert.equal(digestOf(await readFile(join(folder, 'manifest.json'))), digest)
    }
    assert.equal(await skopeo.succeed(['inspect', plain, '--format', '{{.Digest}}', at('eco/bb:1')]), digest)
  })

  test('an index comes back with all its platforms', async () => {
    await skopeo.succeed([...push, '--all', index, at('eco/multi:1')])
    const stored = await readWhole(stage.place, 'eco/multi', '1')
    assert.equal(stored.digest, image.index.digest)
    const folder = join(stage.folder, 'all')
    await skopeo.succeed([...pull, '--all', at('eco/multi:1'), `dir:${folder}`])
    assert.equal(digestOf(await readFile(join(folder, 'manifest.json'))), image.index.digest)
    for (const { manifest } of image.platforms) {
      const file = join(folder, `${manifest.digest.slice('sha256:'.length)}.manifest.json`)
      assert.equal(digestOf(await readFile(file)), manifest.digest)
    }
  })

  test('copying again changes nothing, and a copy to another repository mounts', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      const here = `docker://${recorder.host}`
      await skopeo.succeed([...push, single, `${here}/eco/source:1`])
      await skopeo.succeed([...push, single, `${here}/eco/source:1`])
      await skopeo.succeed([...push, '--src-tls-verify=false', `${here}/eco/source:1`, `${here}/other/target:1`])
      assert.notEqual(mounts(recorder.exchanges).length, 0)
      const source = await readWhole(stage.open, 'eco/source', '1')
      assert.deepEqual(await readWhole(stage.open, 'other/target', '1'), source)
    } finally {
      await recorder.close()
    }
  })

  test('the conversion to the docker format and zstd layers arrive whole', async () => {
    await skopeo.succeed([...push, '--format=v2s2', single, at('eco/forms:docker')])
    const stored = await readWhole(stage.place, 'eco/forms', 'docker')
    assert.equal(stored.mediaType, 'application/vnd.docker.distribution.manifest.v2+json')
    await skopeo.succeed([
      ...push,
      '--dest-compress-format=zstd',
      '--dest-compress-level=1',
      single,
      at('eco/forms:zstd'),
    ])
    await readWhole(stage.place, 'eco/forms', 'zstd')
  })

  test('tags are listed, and a deleted image is gone', async () => {
    const tags = async (): Promise<string[]> => {
      const printed = await skopeo.succeed(['list-tags', plain, at('eco/forms')])
      return z.object({ Tags: z.array(z.string()) }).parse(JSON.parse(printed)).Tags
    }
    assert.deepEqual((await tags()).sort(), ['docker', 'zstd'])
    await skopeo.succeed(['delete', plain, at('eco/forms:docker')])
    assert.equal(await statusOfManifest(stage.place, 'eco/forms', 'docker'), 404)
    assert.deepEqual(await tags(), ['zstd'])
    await skopeo.fail([...pull, at('eco/forms:docker'), `dir:${join(stage.folder, 'gone')}`])
  })
})
