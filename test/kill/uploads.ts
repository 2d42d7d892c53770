/** Uploads in chunks, some of them slow, that end with their server or go on after it has come back. */
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { header, type Reply } from '../support/client.ts'
import type { Blob } from '../support/image.ts'
import type { Calls } from './calls.ts'
import { chance, type Interrupted, type World } from './world.ts'

const slowMs = 15
const pieceSize = 8192

/** Pushes in up to four chunks, the last of them sometimes with the closing request. */
export async function pushChunks(world: World, calls: Calls, name: string, content: Blob): Promise<void> {
  const begun = await calls.ask(
    `POST ${name} upload`,
    [],
    () => calls.client.startUpload(name),
    ({ status }) => (status === 202 ? [] : undefined),
  )
  await fill(world, calls, name, content, header(begun, 'location'))
}

export async function fill(world: World, calls: Calls, name: string, content: Blob, at: string): Promise<void> {
  let upload: Interrupted = { name, location: at, content, acknowledged: 0, sent: 0, isClosing: false }
  const step = Math.max(1, Math.ceil(content.size / (1 + Math.floor(Math.random() * 4))))
  try {
    while (upload.acknowledged < content.size) {
      const start = upload.acknowledged
      const end = Math.min(content.size, start + step)
      if (end === content.size && chance(0.3)) break
      upload = { ...upload, sent: end }
      await append(calls, upload, start, end)
      upload = { ...upload, acknowledged: end }
      if (chance(0.3)) await sleep(slowMs)
    }
    upload = { ...upload, sent: content.size, isClosing: true }
    await close(calls, upload, upload.acknowledged)
  } catch (error) {
    world.interrupted.push(upload)
    throw error
  }
}

async function append(calls: Calls, { name, location, content }: Interrupted, start: number, end: number) {
  const bytes = content.bytes.subarray(start, end)
  const headers = { 'Content-Range': `${start}-${end - 1}`, 'Content-Length': bytes.length }
  const send = () => calls.client.appendUpload(location, { headers, body: bodyOf(bytes) })
  await calls.ask(`PATCH ${name} ${start}-${end - 1} of ${content.digest}`, [], send, (answer) =>
    answer.status === 202 && offsetOf(answer) === end ? [] : undefined,
  )
}

/** Now and then in pieces, so that a kill can come between them. */
function bodyOf(bytes: Buffer): Buffer | Readable {
  if (chance(0.6)) return bytes
  return Readable.from(
    (async function* () {
      for (let start = 0; start < bytes.length; start += pieceSize) {
        yield bytes.subarray(start, start + pieceSize)
        if (chance(0.2)) await sleep(slowMs)
      }
    })(),
  )
}

/** The closing request, with what is left from `start` on. */
function close(calls: Calls, { name, location, content }: Interrupted, start: number, also: readonly number[] = []) {
  const rest = content.bytes.subarray(start)
  const range = { 'Content-Range': `${start}-${content.size - 1}` }
  const asked = rest.length > 0 ? { headers: range, body: rest } : {}
  const send = () => calls.client.commitUpload(location, content.digest, asked)
  return calls.makeBlob('PUT', name, content.digest, also, send)
}

/** `Range` names the last byte: of none it says `0-0`, as of one. No content here is so short. */
function offsetOf(reply: Reply): number {
  const last = Number(header(reply, 'range').split('-')[1])
  return last === 0 ? 0 : last + 1
}

/** An upload that was interrupted goes on where the server says, or its closing request is found to have been done. */
export async function resume(world: World, calls: Calls, upload: Interrupted): Promise<void> {
  const { name, location, content, acknowledged, sent } = upload
  const known = await calls.ask(
    `GET ${name} upload`,
    [],
    () => calls.client.uploadStatus(location),
    ({ status }) => ([204, 404].includes(status) ? [] : undefined),
  )
  if (known.status === 404) return repeatClosing(world, calls, upload)
  const offset = offsetOf(known)
  if (offset < acknowledged || offset > sent) {
    const told = `the upload of ${content.digest} stands at ${offset}`
    world.findings.push(`${name}: ${told}, but ${acknowledged} bytes were acknowledged and ${sent} sent`)
    return
  }
  if (offset < content.size && chance(0.5)) {
    await append(calls, upload, offset, content.size)
    await close(calls, upload, content.size)
  } else await close(calls, upload, offset)
  world.figures.uploadsResumed++
  await mustRead(world, calls, upload)
}

/**
 * An upload is forgotten only once its closing request came. That can be sent again where it became a blob; where others
 * had the same bytes it may be unknown for good.
 */
async function repeatClosing(world: World, calls: Calls, upload: Interrupted): Promise<void> {
  const { name, content, isClosing } = upload
  if (!isClosing) {
    world.findings.push(`${name}: the upload of ${content.digest} is unknown, though nobody finished it`)
    return
  }
  const { status } = await close(calls, upload, content.size, [404])
  if (status === 404) {
    world.figures.uploadsUnknown++
    return
  }
  world.figures.uploadsFinishedBefore++
  await mustRead(world, calls, upload)
}

async function mustRead(world: World, calls: Calls, { name, content }: Interrupted): Promise<void> {
  const isRead = await calls.getBlob(name, content.digest)
  if (!isRead && !world.isCollected) {
    world.findings.push(`${name}: ${content.digest} was acknowledged after its upload went on, and cannot be read`)
  }
}
