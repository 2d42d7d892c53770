/** Mounting a blob from another repository (distribution-spec, "Mounting a blob from another repository"). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { header, type Reply } from '../support/client.ts'
import { blob, digestOf, image, push, pushBlob } from '../support/image.ts'
import { freshName, serve } from '../support/served.ts'

const { client } = await serve()
const source = 'mounted/from'
const content = await pushBlob(client, source, blob(5000))
const other = await pushBlob(client, source, blob(5000, { algorithm: 'sha512' }))

async function mounted(name: string, reply: Reply, { digest, bytes } = content): Promise<void> {
  assert.equal(reply.status, 201, reply.bytes.toString())
  assert.equal(header(reply, 'location'), `/v2/${name}/blobs/${digest}`)
  assert.equal(header(reply, 'docker-content-digest'), digest)
  assert.deepEqual((await client.getBlob(name, digest)).bytes, bytes)
}

/** The answer is that of an ordinary start, and the upload works. */
async function startedInstead(name: string, reply: Reply, wanted = content.digest): Promise<void> {
  assert.equal(reply.status, 202, reply.bytes.toString())
  assert.equal((await client.headBlob(name, wanted)).status, 404)
  const location = header(reply, 'location')
  assert.ok(location.startsWith(`/v2/${name}/blobs/uploads/`))
  assert.equal((await client.commitUpload(location, content.digest, { body: content.bytes })).status, 201)
}

describe('a mount', () => {
  test('makes the blob readable here', async () => {
    const name = freshName()
    await mounted(name, await client.startUpload(name, `?mount=${content.digest}&from=${source}`))
    const again = freshName()
    await mounted(again, await client.startUpload(again, `?mount=${other.digest}&from=${source}&ns=docker.io`), other)
  })

  test('needs no source: any repository that has the blob will do', async () => {
    const name = freshName()
    await mounted(name, await client.startUpload(name, `?mount=${content.digest}`))
  })

  test('of what is here already succeeds, whatever the source', async () => {
    await mounted(source, await client.startUpload(source, `?mount=${content.digest}&from=no/such`))
    await mounted(source, await client.startUpload(source, `?mount=${content.digest}&from=${source}`))
  })

  test('stays when the source deletes its own', async () => {
    const [from, name] = [freshName(), freshName()]
    const mine = await pushBlob(client, from, blob(100))
    await client.startUpload(name, `?mount=${mine.digest}&from=${from}`)
    assert.equal((await client.deleteBlob(from, mine.digest)).status, 202)
    assert.deepEqual((await client.getBlob(name, mine.digest)).bytes, mine.bytes)
  })

  test('lets a manifest refer to the blob', async () => {
    const name = freshName()
    await client.startUpload(name, `?mount=${content.digest}&from=${source}`)
    const config = await pushBlob(client, name, blob('{}'))
    await push(client, name, { ...image({ config, layers: [content] }), blobs: [] }, 'latest')
  })
})

describe('a mount that cannot be', () => {
  const reasons = {
    'a source that does not exist': `?mount=${content.digest}&from=no/such`,
    'a source that is no name': `?mount=${content.digest}&from=NOT%20A%20NAME`,
    'an empty source': `?mount=${content.digest}&from=`,
    'a source on another registry': `?mount=${content.digest}&from=registry.example:5000/${source}`,
    'a digest that is none': `?mount=sha256:abc&from=${source}`,
    'an empty digest': `?mount=&from=${source}`,
    'an algorithm that is not known here': `?mount=md5:d41d8cd98f00b204e9800998ecf8427e&from=${source}`,
  }
  for (const [reason, query] of Object.entries(reasons)) {
    test(`becomes an ordinary upload: ${reason}`, async () => {
      const name = freshName()
      await startedInstead(name, await client.startUpload(name, query))
    })
  }

  test('becomes an ordinary upload: a blob that is nowhere, or not in that source', async () => {
    const nowhere = digestOf('nobody has this')
    for (const query of [`?mount=${nowhere}&from=${source}`, `?mount=${nowhere}`]) {
      const name = freshName()
      await startedInstead(name, await client.startUpload(name, query), nowhere)
    }
    const [holder, without, name] = [freshName(), freshName(), freshName()]
    const held = await pushBlob(client, holder, blob(100))
    await push(client, without, image())
    await startedInstead(name, await client.startUpload(name, `?mount=${held.digest}&from=${without}`), held.digest)
  })
})
