import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { needs } from '../support/tools.ts'
import { type Client, client } from './support/command.ts'
import { digestOf, type Image, makeImage, writeLayout } from './support/image.ts'
import { mounts, recordExchanges, transfers } from './support/recorder.ts'
import { type Stage, setStage, user } from './support/stage.ts'
import { readWhole, statusOfManifest } from './support/wire.ts'

describe('oras', needs('oras', 'busybox'), () => {
  let stage: Stage
  let oras: Client
  let image: Image
  const content = randomBytes(3 << 20)

  before(async () => {
    stage = await setStage()
    await writeFile(join(stage.folder, 'payload.bin'), content)
    const env = { DOCKER_CONFIG: join(stage.folder, 'docker') }
    oras = client('oras', [], { env, cwd: stage.folder })
    image = await makeImage(stage.folder)
    await writeLayout(image, image.index, join(stage.folder, 'index'))
  })
  after(() => stage?.strike())

  const plain = '--plain-http'
  const logIn = (password: string): string[] => ['login', plain, '-u', user.name, '-p', password, stage.secured.host]
  const push = (target: string): Promise<string> =>
    oras.succeed(['push', plain, '--format', 'go-template={{.digest}}', target, 'payload.bin:application/x-berth'])

  async function pulled(target: string, name: string): Promise<Buffer> {
    const folder = join(stage.folder, name)
    await mkdir(folder, { recursive: true })
    await oras.succeed(['pull', plain, '-o', folder, target])
    return readFile(join(folder, 'payload.bin'))
  }

  test('a wrong password is refused, the right one is taken', async () => {
    assert.match(await oras.fail(logIn('wrong')), /401|unauthorized/i)
    await oras.fail(['push', plain, `${stage.secured.host}/eco/early:1`, 'payload.bin'])
    assert.match(await oras.talk(logIn(user.password)), /Login Succeeded/)
  })

  test('a pushed file comes back by tag and by digest, and a second push of it stands beside the first', async () => {
    const target = `${stage.secured.host}/eco/file`
    const digest = await push(`${target}:1`)
    assert.equal((await readWhole(stage.place, 'eco/file', '1')).digest, digest)
    assert.ok((await pulled(`${target}:1`, 'by-tag')).equals(content))
    assert.ok((await pulled(`${target}@${digest}`, 'by-digest')).equals(content))
    const again = await push(`${target}:2`)
    assert.equal((await readWhole(stage.place, 'eco/file', '2')).digest, again)
    assert.deepEqual((await oras.succeed(['repo', 'tags', plain, target])).split('\n').sort(), ['1', '2'])
    assert.match(await oras.succeed(['repo', 'ls', plain, stage.secured.host]), /^eco\/file$/m)
  })

  test('an index with all its platforms is copied in and out', async () => {
    const target = `${stage.secured.host}/eco/multi:1`
    await oras.succeed(['cp', '-r', '--from-oci-layout', '--to-plain-http', 'index:it', target])
    assert.equal((await readWhole(stage.place, 'eco/multi', '1')).digest, image.index.digest)
    await oras.succeed(['cp', '-r', '--from-plain-http', '--to-oci-layout', target, 'copied:it'])
    for (const [digest, bytes] of image.blobs) {
      const path = join(stage.folder, 'copied', 'blobs', 'sha256', digest.slice('sha256:'.length))
      assert.ok((await readFile(path)).equals(bytes), digest)
    }
  })

  test('an index made of two manifests that are there already resolves', async () => {
    const target = `${stage.secured.host}/eco/multi`
    const digests = image.platforms.map(({ manifest }) => manifest.digest)
    await oras.succeed(['manifest', 'index', 'create', plain, `${target}:made`, ...digests])
    const stored = await readWhole(stage.place, 'eco/multi', 'made')
    assert.deepEqual([...stored.children].sort(), [...digests].sort())
    assert.equal(await oras.succeed(['resolve', plain, `${target}:made`]), stored.digest)
  })

  test('an attached artifact is discovered by its subject and filtered by its type', async () => {
    const target = `${stage.secured.host}/eco/multi:1`
    const attach = (type: string): Promise<string> =>
      oras.succeed(['attach', plain, '--artifact-type', type, target, 'payload.bin'])
    await attach('application/x-one')
    await attach('application/x-two')
    const discover = ['discover', plain, '--format', 'go-template={{range .referrers}}{{println .artifactType}}{{end}}']
    const all = await oras.succeed([...discover, target])
    assert.deepEqual(all.split('\n').sort(), ['application/x-one', 'application/x-two'])
    const one = await oras.succeed([...discover, '--artifact-type', 'application/x-one', target])
    assert.equal(one, 'application/x-one')
  })

  test('a copy to another repository mounts its blobs', async () => {
    const recorder = await recordExchanges(stage.open)
    try {
      const source = `${recorder.host}/eco/source:1`
      await push(source)
      const plainBoth = ['--from-plain-http', '--to-plain-http']
      await oras.succeed(['cp', ...plainBoth, source, `${recorder.host}/other/target:1`])
      assert.notEqual(mounts(recorder.exchanges).length, 0)
      assert.equal(transfers(recorder.exchanges, 'other/target').length, 0)
      const original = await readWhole(stage.open, 'eco/source', '1')
      assert.deepEqual(await readWhole(stage.open, 'other/target', '1'), original)
    } finally {
      await recorder.close()
    }
  })

  test('a single blob is pushed, fetched in part of a file, and deleted', async () => {
    const name = `${stage.secured.host}/eco/blob@${digestOf(content)}`
    await oras.succeed(['blob', 'push', plain, name, 'payload.bin'])
    const output = join(stage.folder, 'fetched.bin')
    await oras.succeed(['blob', 'fetch', plain, '--output', output, name])
    assert.ok((await readFile(output)).equals(content))
    await oras.succeed(['blob', 'delete', plain, '--force', name])
    await oras.fail(['blob', 'fetch', plain, '--output', output, name])
  })

  test('a deleted manifest is gone for every tag that named it', async () => {
    const target = `${stage.secured.host}/eco/file:1`
    await oras.succeed(['manifest', 'delete', plain, '--force', target])
    assert.equal(await statusOfManifest(stage.place, 'eco/file', '1'), 404)
    await oras.fail(['pull', plain, target])
  })
})
