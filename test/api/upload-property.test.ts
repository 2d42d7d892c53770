/**
 * Whatever happens to an upload on its way, what becomes readable is what was pushed: random chunks, in and out of
 * order, announced and streamed, with connections that break in between, against a model that knows only the offset.
 */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Asked, header, type Reply } from '../support/client.ts'
import { type Algorithm, type Blob, blob } from '../support/image.ts'
import { RawConnection, requestText } from '../support/raw.ts'
import { refused } from '../support/refusals.ts'
import { freshName, serve } from '../support/served.ts'

const { client, registry } = await serve()

type Step =
  | { readonly kind: 'chunk'; readonly size: number; readonly ranged: boolean; readonly streamed: boolean }
  | { readonly kind: 'misplaced'; readonly by: number; readonly size: number; readonly closing: boolean }
  | { readonly kind: 'mismeasured'; readonly size: number; readonly by: number }
  | { readonly kind: 'broken'; readonly size: number; readonly sent: number; readonly ranged: boolean }
  | { readonly kind: 'status' }

// Around the sizes at which the server writes a batch, and the smallest ones.
const size = fc.oneof(fc.nat(3), fc.nat(5000), fc.integer({ min: 65_530, max: 65_540 }), fc.nat(200_000))
const distance = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -100_000, max: 100_000 }))
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('chunk'), size, ranged: fc.boolean(), streamed: fc.boolean() }),
  },
  fc.record({ kind: fc.constant('misplaced'), by: distance, size, closing: fc.boolean() }),
  fc.record({ kind: fc.constant('mismeasured'), size, by: distance }),
  fc.record({ kind: fc.constant('broken'), size, sent: size, ranged: fc.boolean() }),
  fc.record({ kind: fc.constant('status') }),
)

class Model {
  readonly content: Blob
  readonly location: string
  offset = 0

  constructor(content: Blob, location: string) {
    this.content = content
    this.location = location
  }

  next(wanted: number): Buffer {
    return this.content.bytes.subarray(this.offset, this.offset + wanted)
  }

  stands(reply: Reply): void {
    assert.equal(header(reply, 'range'), `0-${Math.max(0, this.offset - 1)}`)
  }
}

const rangeOf = (start: number, length: number) => ({ 'Content-Range': `${start}-${start + length - 1}` })
const bodyOf = (bytes: Buffer, streamed: boolean): Buffer | Readable =>
  streamed ? Readable.from(bytes.length > 0 ? [bytes] : []) : bytes

async function run(model: Model, one: Step): Promise<void> {
  switch (one.kind) {
    case 'status':
      return model.stands(await client.uploadStatus(model.location))
    case 'chunk':
      return appendChunk(model, one)
    case 'misplaced':
      return misplaceChunk(model, one)
    case 'mismeasured':
      return mismeasureChunk(model, one)
    case 'broken':
      return breakConnection(model, one)
  }
}

async function appendChunk(model: Model, one: Step & { kind: 'chunk' }): Promise<void> {
  const bytes = model.next(one.size)
  const ranged = one.ranged && bytes.length > 0
  const body = bodyOf(bytes, one.streamed)
  const asked = { body, ...(ranged && { headers: rangeOf(model.offset, bytes.length) }) }
  const reply = await client.appendUpload(model.location, asked)
  assert.equal(reply.status, 202, reply.bytes.toString())
  model.offset += bytes.length
  model.stands(reply)
}

async function misplaceChunk(model: Model, { by, size, closing }: Step & { kind: 'misplaced' }): Promise<void> {
  const start = model.offset + by
  if (by === 0 || start < 0 || size === 0) return
  const asked: Asked = { headers: rangeOf(start, size), body: Buffer.alloc(size, 'wrong') }
  const reply = closing
    ? await client.commitUpload(model.location, model.content.digest, asked)
    : await client.appendUpload(model.location, asked)
  refused(reply, 'upload-offset-mismatch')
  model.stands(reply)
}

/** Begins at the right place, but brings more or less than its range says. */
async function mismeasureChunk(model: Model, { by, size }: Step & { kind: 'mismeasured' }): Promise<void> {
  const announced = size + by
  if (by === 0 || announced <= 0) return
  const body = Readable.from(size > 0 ? [Buffer.alloc(size, 'wrong')] : [])
  const asked = { headers: rangeOf(model.offset, announced), body }
  refused(await client.appendUpload(model.location, asked), 'size-mismatch')
}

async function breakConnection(model: Model, one: Step & { kind: 'broken' }): Promise<void> {
  const bytes = model.next(one.size)
  const sent = Math.min(one.sent, bytes.length - 1)
  if (sent < 0) return
  const range = one.ranged ? [`Content-Range: ${rangeOf(model.offset, bytes.length)['Content-Range']}`] : []
  const connection = await RawConnection.open(registry.port)
  connection.write(requestText(`PATCH ${model.location}`, [`Content-Length: ${bytes.length}`, ...range]))
  connection.write(bytes.subarray(0, sent))
  const probe = () => client.appendUpload(model.location, { body: '' })
  while ((await probe()).status !== 416);
  connection.destroy()
  let reply = await probe()
  while (reply.status === 416) reply = await probe()
  const last = Number(header(reply, 'range').split('-')[1])
  const offset = last === 0 && model.offset === 0 ? await smallOffset(model.location) : last + 1
  assert.ok(offset >= model.offset && offset <= model.offset + sent, `${offset} after ${model.offset} and ${sent}`)
  model.offset = offset
}

/** `0-0` stands for no byte as well as for one; a chunk that belongs behind the first tells which it is. */
async function smallOffset(location: string): Promise<number> {
  const headers = { 'Content-Range': '999999999-999999999' }
  const [entry] = refused(await client.appendUpload(location, { headers, body: 'x' }), 'upload-offset-mismatch')
  return Number(entry?.detail?.['expected'])
}

test('an upload in any chunks becomes the blob that was meant', async () => {
  const algorithm = fc.constantFrom<Algorithm>('sha256', 'sha512')
  const cases = fc.record({
    size: fc.nat(400_000),
    steps: fc.array(step, { maxLength: 10 }),
    algorithm,
    ranged: fc.boolean(),
  })
  const property = fc.asyncProperty(cases, async ({ size, steps, algorithm, ranged }) => {
    const name = freshName()
    const content = blob(size, { algorithm })
    const model = new Model(content, header(await client.startUpload(name), 'location'))
    for (const one of steps) await run(model, one)
    const rest = model.next(size)
    const headers = ranged && rest.length > 0 ? rangeOf(model.offset, rest.length) : {}
    const reply = await client.commitUpload(model.location, content.digest, { headers, body: rest })
    assert.equal(reply.status, 201, reply.bytes.toString())
    assert.deepEqual((await client.getBlob(name, content.digest)).bytes, content.bytes)
  })
  await fc.assert(property, { numRuns: 60 })
})
