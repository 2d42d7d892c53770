/** What is asked of the server while it is recorded: each kind of change once, with rests in which it keeps house. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, header, type Reply } from '../support/client.ts'
import { type Blob, type Built, blob, image, index, putManifest } from '../support/image.ts'
import type { Run } from './record.ts'

const octets = { 'Content-Type': 'application/octet-stream' }
/** Longer than the checkpointer rests: what was committed is merged, and the next commit begins the log anew. */
const merged = () => sleep(1_700)
/** Longer than the duty that flushes link files rests. */
const flushed = () => sleep(6_500)

function expectStatus(reply: Reply, ...statuses: number[]): Reply {
  assert.ok(statuses.includes(reply.status), `${reply.status}: ${reply.bytes}`)
  return reply
}

async function pushBlob(run: Run, name: string, content: Blob): Promise<void> {
  const client = run.changing({ [`${name}/${content.digest}`]: content.digest })
  expectStatus(await client.startUpload(name, `?digest=${content.digest}`, { body: content.bytes }), 201)
}

/** Bytes up to `until`, in two requests. */
async function beginChunks({ client }: Run, name: string, { bytes }: Blob, until: number): Promise<string> {
  let location = header(expectStatus(await client.startUpload(name), 202), 'location')
  for (const [start, end] of [
    [0, 50_000],
    [50_000, until],
  ] as const) {
    const headers = { ...octets, 'Content-Range': `${start}-${end - 1}` }
    const reply = await client.appendUpload(location, { headers, body: bytes.subarray(start, end) })
    location = header(expectStatus(reply, 202), 'location')
  }
  return location
}

async function endChunks(run: Run, location: string, name: string, content: Blob, from: number): Promise<void> {
  const client = run.changing({ [`${name}/${content.digest}`]: content.digest })
  const body = content.bytes.subarray(from)
  const headers = { ...octets, 'Content-Range': `${from}-${content.size - 1}` }
  expectStatus(await client.commitUpload(location, content.digest, { headers, body }), 201)
}

async function pushManifest(run: Run, name: string, built: Built, tag?: string): Promise<void> {
  const { digest } = built
  const changes = { [`${name}@${digest}`]: digest, ...(tag !== undefined && { [`${name}:${tag}`]: digest }) }
  expectStatus(await putManifest(run.changing(changes), name, tag ?? digest, built), 201)
}

async function pushImage(run: Run, name: string, built: Built, tag?: string): Promise<void> {
  for (const content of built.blobs) await pushBlob(run, name, content)
  await pushManifest(run, name, built, tag)
}

async function mount(run: Run, name: string, from: string, { digest }: Blob): Promise<void> {
  const client: Client = run.changing({ [`${name}/${digest}`]: digest })
  expectStatus(await client.startUpload(name, `?mount=${digest}&from=${from}`), 201)
}

async function remove(run: Run, name: string, reference: string, ...gone: string[]): Promise<void> {
  const changes = Object.fromEntries(gone.map((key) => [key, undefined]))
  expectStatus(await run.changing(changes).deleteManifest(name, reference), 202)
}

const layer = (bytes: number) => image({ layers: [blob(bytes)] })

/** `quick` leaves out the rests, and with them merging and flushing. */
export function script({ quick = false } = {}) {
  const first = image({ layers: [blob(9_000), blob(105_000)] })
  const second = layer(3_000)
  const broken = blob(90_000)
  const rest = (work: () => Promise<void>) => (quick ? Promise.resolve() : work())
  let location = ''

  async function work(run: Run): Promise<void> {
    const [config, small, large] = first.blobs as [Blob, Blob, Blob]
    await pushBlob(run, 'crash/a', small)
    await pushBlob(run, 'crash/a', config)
    await endChunks(run, await beginChunks(run, 'crash/a', large, 80_000), 'crash/a', large, 80_000)
    await pushManifest(run, 'crash/a', first, 'latest')
    await rest(merged)
    await pushManifest(run, 'crash/a', first, 'old')
    await pushImage(run, 'crash/a', second, 'latest')
    await rest(flushed)
    await remove(run, 'crash/a', 'old', 'crash/a:old')
    for (const content of first.blobs) await mount(run, 'crash/b', 'crash/a', content)
    await pushManifest(run, 'crash/b', first, 'v1')
    await remove(run, 'crash/a', first.digest, `crash/a@${first.digest}`)
    await rest(merged)
    await Promise.all([
      pushManifest(run, 'crash/a', second, 'other'),
      pushImage(run, 'crash/b', layer(500), 'v1'),
      pushImage(run, 'crash/c', layer(2_000), 'v1'),
    ])
    location = await beginChunks(run, 'crash/b', broken, 70_000)
    run.note({ location, name: 'crash/b', digest: broken.digest, bytes: broken.bytes })
  }

  async function goOn(run: Run): Promise<void> {
    await pushImage(run, 'crash/c', layer(1_000), 'v1')
    const { status, headers } = await run.client.uploadStatus(location)
    const received = Number(String(headers['range']).split('-')[1]) + 1
    assert.deepEqual([status, received], [204, 70_000])
    await endChunks(run, location, 'crash/b', broken, received)
    await rest(merged)
    const child = layer(1_500)
    await pushImage(run, 'crash/d', child)
    await pushManifest(run, 'crash/d', index([child], { platforms: ['linux/amd64'] }), 'multi')
    await rest(flushed)
    await remove(run, 'crash/d', 'multi', 'crash/d:multi')
    await remove(run, 'crash/a', 'latest', 'crash/a:latest')
    await remove(run, 'crash/a', second.digest, `crash/a@${second.digest}`, 'crash/a:other')
    await pushManifest(run, 'crash/a', second, 'latest')
    await rest(flushed)
  }

  return [
    { end: 'kill', work },
    { end: 'stop', work: goOn },
  ] as const
}
