/** Clients that push, retag, mount and delete at the same time, and note each answer. */
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient, header } from '../support/client.ts'
import { type Blob, type Built, blob, image, index, putManifest } from '../support/image.ts'
import { blobKey, type Journal, manifestKey, type Sending, tagKey } from './journal.ts'

export const repositories = ['cut/a', 'cut/b/c', 'cut/d'] as const
const writers = 6
const remembered = 40
/** What is written within seconds must not take minutes to check. */
const longestRestMs = 60

interface Writer {
  readonly client: Client
  readonly base: string
  readonly journal: Journal
  readonly number: number
  /** What was pushed lately, by anybody: what is deleted and mounted is taken from it. */
  readonly lately: { readonly repository: string; readonly built: Built }[]
}

const pick = <T>(from: readonly T[]): T | undefined => from[from.length === 0 ? 0 : randomInt(from.length)]
const anyRepository = (): string => pick(repositories) ?? repositories[0]
/** Half of the tags belong to one writer, the others are fought over. */
const anyTag = (writer: Writer): string =>
  randomInt(2) === 0 ? `own${writer.number}-${randomInt(4)}` : `v${randomInt(5)}`

/** Runs until `stopped` says so and every answer has come. */
export async function load(url: string, journal: Journal, stopped: () => boolean): Promise<void> {
  const shared = { client: createClient(url), base: url, journal, lately: [] }
  const work = Array.from({ length: writers }, async (_, number) => {
    while (!stopped()) {
      await turn({ ...shared, number })
      await sleep(randomInt(longestRestMs))
    }
  })
  await Promise.all(work)
}

const turns: readonly [weight: number, run: (writer: Writer) => Promise<unknown>][] = [
  [40, pushImage],
  [8, pushIndex],
  [12, retag],
  [12, deleteTag],
  [9, deleteManifest],
  [9, mountBlob],
  [4, pushAndDeleteBlob],
  [4, beginUpload],
]

async function turn(writer: Writer): Promise<void> {
  let left = randomInt(turns.reduce((sum, [weight]) => sum + weight, 0))
  for (const [weight, run] of turns) {
    left -= weight
    if (left < 0) return void (await run(writer))
  }
}

async function pushImage(writer: Writer): Promise<void> {
  const repository = anyRepository()
  const built = image({ layers: [anyBlob(), anyBlob()] })
  for (const content of built.blobs) if (!(await pushBlob(writer, repository, content))) return
  await put(writer, repository, anyTag(writer), built)
}

async function pushIndex(writer: Writer): Promise<void> {
  const first = pick(writer.lately)
  const second = pick(writer.lately.filter(({ repository }) => repository === first?.repository))
  if (first && second) await put(writer, first.repository, anyTag(writer), index([first.built, second.built]))
}

async function retag(writer: Writer): Promise<void> {
  const known = pick(writer.lately)
  if (known) await put(writer, known.repository, anyTag(writer), known.built)
}

async function put({ client, journal, lately }: Writer, repository: string, tag: string, built: Built): Promise<void> {
  const changes = [
    { key: manifestKey(repository, built.digest), value: built.digest },
    { key: tagKey(repository, tag), value: built.digest },
  ]
  if (!(await journal.attempt(changes, 201, () => putManifest(client, repository, tag, built)))) return
  lately.push({ repository, built })
  if (lately.length > remembered) lately.shift()
}

async function deleteTag(writer: Writer): Promise<void> {
  const repository = anyRepository()
  const tag = anyTag(writer)
  const gone = [{ key: tagKey(repository, tag), value: undefined }]
  await writer.journal.attempt(gone, 202, () => writer.client.deleteManifest(repository, tag))
}

async function deleteManifest({ client, journal, lately }: Writer): Promise<void> {
  const known = pick(lately)
  if (!known) return
  const { repository, built } = known
  const gone = [{ key: manifestKey(repository, built.digest), value: undefined }]
  await journal.attempt(gone, 202, () => client.deleteManifest(repository, built.digest))
}

async function mountBlob({ client, journal, lately }: Writer): Promise<void> {
  const known = pick(lately.filter(({ built }) => built.blobs.length > 0))
  const content = known && pick(known.built.blobs)
  if (!content) return
  const target = anyRepository()
  const mounted = [{ key: blobKey(target, content.digest), value: content.digest }]
  const query = `?mount=${content.digest}&from=${known.repository}`
  await journal.attempt(mounted, 201, () => client.startUpload(target, query))
}

async function pushAndDeleteBlob(writer: Writer): Promise<void> {
  const repository = anyRepository()
  const content = anyBlob()
  if (!(await pushBlob(writer, repository, content))) return
  const gone = [{ key: blobKey(repository, content.digest), value: undefined }]
  await writer.journal.attempt(gone, 202, () => writer.client.deleteBlob(repository, content.digest))
}

/** An upload whose client goes away. */
async function beginUpload(writer: Writer): Promise<void> {
  const content = blob(randomBytes(randomInt(1000, 400_000)))
  const sending = await open(writer, anyRepository(), content)
  if (sending) await send(writer, sending, randomInt(2, content.size))
}

function anyBlob(): Blob {
  const large = randomInt(12) === 0
  return blob(randomBytes(large ? randomInt(200_000, 900_000) : randomInt(10, 70_000)))
}

/** In one request, in two, or in several chunks. */
async function pushBlob(writer: Writer, repository: string, content: Blob): Promise<boolean> {
  const { client, journal } = writer
  const made = [{ key: blobKey(repository, content.digest), value: content.digest }]
  if (randomInt(3) === 0) {
    return journal.attempt(made, 201, () =>
      client.startUpload(repository, `?digest=${content.digest}`, { body: content.bytes }),
    )
  }
  const sending = await open(writer, repository, content)
  if (!sending) return false
  const chunks = randomInt(4)
  const upTo = chunks === 0 ? 0 : await sendInChunks(writer, sending, chunks)
  sending.closing = performance.now()
  return journal.attempt(made, 201, () =>
    client.commitUpload(sending.location, content.digest, { body: content.bytes.subarray(upTo) }),
  )
}

/** All but the last bytes, or all of them. */
async function sendInChunks(writer: Writer, sending: Sending, chunks: number): Promise<number> {
  const { size } = sending.content
  for (let each = 1; each <= chunks; each++) await send(writer, sending, Math.floor((size * each) / (chunks + 1)))
  if (randomInt(2) === 0) await send(writer, sending, size)
  return sending.chunks.at(-1)?.upTo ?? 0
}

async function open({ client, base, journal }: Writer, repository: string, content: Blob) {
  const reply = await client.startUpload(repository)
  if (reply.status !== 202) {
    journal.surprises.push(`an upload was not begun: ${reply.status} ${reply.bytes.toString().slice(0, 200)}`)
    return undefined
  }
  const { pathname, search } = new URL(header(reply, 'location'), base)
  const location = `${pathname}${search}`
  const opened = performance.now()
  const sending: Sending = { repository, content, location, opened, chunks: [], closing: Infinity }
  journal.sendings.push(sending)
  return sending
}

async function send({ client, journal }: Writer, sending: Sending, upTo: number): Promise<void> {
  const from = sending.chunks.at(-1)?.upTo ?? 0
  if (upTo <= from) return
  sending.chunks.push({ start: performance.now(), upTo })
  const headers = { 'Content-Range': `${from}-${upTo - 1}`, 'Content-Type': 'application/octet-stream' }
  const body = sending.content.bytes.subarray(from, upTo)
  const { status, bytes } = await client.appendUpload(sending.location, { headers, body })
  if (status !== 202) journal.surprises.push(`a chunk was answered ${status} ${bytes.toString().slice(0, 200)}`)
}
