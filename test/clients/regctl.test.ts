import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { digestOf, type Image, makeImage, writeLayout } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { readWhole, statusOfManifest } from './support/wire.ts'

describe('regctl', needs('regctl', 'busybox'), () => {
  let stage: Stage
  let regctl: Client
  let image: Image
  let layout: string

  before(async () => {
    stage = await setStage()
    regctl = client('regctl', [], { env: { REGCTL_CONFIG: join(stage.folder, 'regctl.json') }, cwd: stage.folder })
    image = await makeImage(stage.folder)
    layout = `ocidir://${await writeLayout(image, image.index, join(stage.folder, 'index'))}:it`
    await regctl.succeed(['registry', 'set', stage.secured.host, '--tls', 'disabled', '--skip-check'])
  })
  after(() => stage?.strike())

  const at = (name: string): string => `${stage.secured.host}/${name}`
  const copy = (from: string, to: string): Promise<string> => regctl.succeed(['image', 'copy', from, to])
  const logIn = (password: string): string[] => [
    'registry',
    'login',
    stage.secured.host,
    '-u',
    user.name,
    '-p',
    password,
  ]

  test('a wrong password is refused, the right one is taken', async () => {
    assert.match(await regctl.fail(logIn('wrong')), /unauthorized|401/i)
    await regctl.fail(['image', 'copy', layout, at('eco/early:1')])
    await regctl.succeed(logIn(user.password))
  })

  test('an index pushed with all its platforms comes back by tag and by digest', async () => {
    await copy(layout, at('eco/multi:1'))
    const stored = await readWhole(stage.place, 'eco/multi', '1')
    assert.equal(stored.digest, image.index.digest)
    assert.equal(await regctl.succeed(['image', 'digest', at('eco/multi:1')]), stored.digest)
    for (const [name, from] of [
      ['by-tag', at('eco/multi:1')],
      ['by-digest', at(`eco/multi@${stored.digest}`)],
    ] as const) {
      await copy(from, `ocidir://${join(stage.folder, name)}:it`)
      for (const [digest, bytes] of image.blobs) {
        const path = join(stage.folder, name, 'blobs', 'sha256', digest.slice('sha256:'.length))
        assert.ok((await readFile(path)).equals(bytes), digest)
      }
    }
  })

  test('pushing again sends nothing, and a copy to another repository mounts', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      await regctl.succeed(['registry', 'set', recorder.host, '--tls', 'disabled'])
      await copy(layout, `${recorder.host}/eco/source:1`)
      const sent = transfers(recorder.exchanges, 'eco/source').length
      await copy(layout, `${recorder.host}/eco/source:1`)
      assert.equal(transfers(recorder.exchanges, 'eco/source').length, sent)
      await copy(`${recorder.host}/eco/source:1`, `${recorder.host}/other/target:1`)
      assert.equal(mounts(recorder.exchanges).length, 4)
      assert.equal(transfers(recorder.exchanges, 'other/target').length, 0)
      await readWhole(stage.open, 'other/target', '1')
    } finally {
      await recorder.close()
    }
  })

  test('a blob sent in chunks arrives whole', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      const limits = ['--blob-chunk', String(256 << 10), '--blob-max', String(256 << 10)]
      await regctl.succeed(['registry', 'set', recorder.host, '--tls', 'disabled', ...limits])
      const content = randomBytes(1_500_000)
      await writeFile(join(stage.folder, 'chunked.bin'), content)
      const put = ['artifact', 'put', '--artifact-type', 'application/x-berth', '-f', 'chunked.bin']
      await regctl.succeed([...put, `${recorder.host}/eco/chunked:1`])
      const patches = transfers(recorder.exchanges, 'eco/chunked').filter(({ method }) => method === 'PATCH')
      assert.ok(patches.length > 4, `${patches.length} chunks`)
      assert.ok((await readWhole(stage.open, 'eco/chunked', '1')).children.includes(digestOf(content)))
    } finally {
      await recorder.close()
    }
  })

  test('an artifact is listed under its subject', async () => {
    await writeFile(join(stage.folder, 'note.txt'), 'a note')
    const type = 'application/x-note'
    const put = ['artifact', 'put', '--artifact-type', type, '-f', 'note.txt', '--subject', at('eco/multi:1')]
    await regctl.succeed(put)
    const format = '{{range .Descriptors}}{{println .ArtifactType}}{{end}}'
    const list = ['artifact', 'list', '--format', format, at('eco/multi:1')]
    assert.equal(await regctl.succeed(list), type)
    assert.equal(await regctl.succeed([...list, '--filter-artifact-type', 'application/x-other']), '')
    await regctl.succeed(['image', 'copy', '--referrers', at('eco/multi:1'), at('eco/with-note:1')])
    assert.equal(await regctl.succeed([...list.slice(0, -1), at('eco/with-note:1')]), type)
  })

  test('repositories and tags are listed, and one tag is deleted without the others', async () => {
    await copy(at('eco/multi:1'), at('eco/multi:2'))
    assert.match(await regctl.succeed(['repo', 'ls', stage.secured.host]), /^eco\/multi$/m)
    await regctl.succeed(['tag', 'delete', at('eco/multi:1')])
    assert.equal(await statusOfManifest(stage.place, 'eco/multi', '1'), 404)
    assert.equal((await readWhole(stage.place, 'eco/multi', '2')).digest, image.index.digest)
    const tags = (await regctl.succeed(['tag', 'ls', at('eco/multi')])).split('\n')
    assert.ok(tags.includes('2') && !tags.includes('1'))
  })

  test('a deleted manifest is gone', async () => {
    await regctl.succeed(['manifest', 'delete', at(`eco/multi@${image.index.digest}`)])
    assert.equal(await statusOfManifest(stage.place, 'eco/multi', '2'), 404)
    await regctl.fail(['image', 'copy', at('eco/multi:2'), `ocidir://${join(stage.folder, 'gone')}:it`])
  })
})
