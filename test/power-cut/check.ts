/** What must hold on a volume after a power cut, whatever the instant. Each sentence that comes back is a defect. */
import { type Client, createClient, jsonOf } from '../support/client.ts'
import { digestOf } from '../support/image.ts'
import { startTestRegistry, type TestRegistry } from '../support/test-registry.ts'
import type { Disks } from './disk.ts'
import type { Cut, Journal, Sending, Value } from './journal.ts'
import { keepAlive } from './kept-alive.ts'
import { repositories } from './load.ts'
import { changesBetween, differences, readStored, wrongBlobs } from './stored.ts'

export interface Findings {
  readonly problems: string[]
  /** Facts that were acknowledged before the cut and looked for. */
  acknowledged: number
  /** Uploads in progress that were continued to their end. */
  continued: number
  /** Uploads in progress whose bytes were not those that had been sent. */
  sentAnew: number
}

interface Checking {
  readonly client: Client
  readonly journal: Journal
  readonly cut: Cut
  readonly findings: Findings
}

const atOnce = 8

export async function checkAfterCut(disks: Disks, journal: Journal, cut: Cut): Promise<Findings> {
  const findings: Findings = { problems: [], acknowledged: 0, continued: 0, sentAnew: 0 }
  try {
    await served(disks, findings, async (client) => {
      const checking = { client, journal, cut, findings }
      await inParallel(journal.keys(), (key) => checkKey(checking, key))
      await inParallel(repositories, (name) => checkListed(client, name, findings))
      await inParallel(inProgress(journal, cut), (sending) => continueUpload(checking, sending))
    })
    const first = readStored(disks.root, disks.database)
    findings.problems.push(...wrongBlobs(disks.root, first), ...differences(first))
    await served(disks, findings, async () => {})
    findings.problems.push(...changesBetween(first, readStored(disks.root, disks.database)))
  } catch (error) {
    findings.problems.push(`it could not be served: ${error instanceof Error ? error.stack : error}`)
  }
  return findings
}

/** Serves the volume, stops it as an operator would, and takes what it complained of for a defect. */
async function served(disks: Disks, findings: Findings, work: (client: Client) => Promise<void>): Promise<void> {
  const registry = await startTestRegistry({ metadata: { sqlite: { path: disks.database } } }, disks.root)
  const connection = keepAlive(registry.url, atOnce)
  try {
    await work(createClient(registry.url, connection.send))
  } finally {
    connection.close()
    await registry.stop()
    findings.problems.push(...complaints(registry))
  }
}

/** pino's levels: from 40 on it is a warning or worse. */
function complaints({ logged }: TestRegistry): string[] {
  const serious = logged.filter((line) => (JSON.parse(line) as { level: number }).level >= 40)
  return serious.map((line) => `it logged ${line.trim()}`)
}

async function inParallel<T>(all: readonly T[], work: (each: T) => Promise<void>): Promise<void> {
  const left = all.values()
  const worker = async () => {
    for (const each of left) await work(each)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

/** What was acknowledged is there, or what came later; what was deleted is not. */
async function checkKey({ client, journal, cut, findings }: Checking, key: string): Promise<void> {
  const [kind = '', repository = '', reference = ''] = key.split(' ')
  const reply = await (kind === 'blob' ? client.getBlob : client.getManifest)(repository, reference)
  if (reply.status !== 200 && reply.status !== 404) {
    findings.problems.push(`${key} was answered ${reply.status} ${reply.bytes.toString().slice(0, 200)}`)
    return
  }
  const found: Value = reply.status === 200 ? digestOf(reply.bytes) : undefined
  const possible = journal.possible(key, cut)
  if (journal.isAcknowledged(key, cut)) findings.acknowledged++
  if (possible.has(found)) return
  const wanted = [...possible].map((value) => value ?? 'nothing').join(' or ')
  findings.problems.push(`${key} is ${found ?? 'nothing'} and must be ${wanted}`)
}

/** Every tag that is listed can be pulled with all that is below it; the bytes are looked at elsewhere. */
async function checkListed(client: Client, name: string, { problems }: Findings): Promise<void> {
  const listed = await client.listTags(name)
  if (listed.status === 404) return
  for (const tag of jsonOf<{ tags: string[] }>(listed).tags) {
    const broken = await pull(client, name, tag)
    if (broken) problems.push(`${name}:${tag} is listed, and ${broken}`)
  }
}

interface Pulled {
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
}

async function pull(client: Client, name: string, reference: string): Promise<string | undefined> {
  const reply = await client.getManifest(name, reference)
  if (reply.status !== 200) return `its manifest ${reference} is answered ${reply.status}`
  const { config, layers = [], manifests = [] } = JSON.parse(reply.bytes.toString()) as Pulled
  for (const { digest } of [...(config ? [config] : []), ...layers]) {
    const { status } = await client.headBlob(name, digest)
    if (status !== 200) return `its blob ${digest} is answered ${status}`
  }
  for (const { digest } of manifests) {
    const broken = await pull(client, name, digest)
    if (broken) return broken
  }
  return undefined
}

const inProgress = (journal: Journal, { before, after }: Cut): Sending[] =>
  journal.sendings.filter(({ opened, closing }) => opened < before && closing > after)

/** Its row is not synced, so it may be gone; where it is not, the client goes on from where it is told to. */
async function continueUpload({ client, cut, findings }: Checking, sending: Sending): Promise<void> {
  const { repository, content, location, chunks } = sending
  const status = await client.uploadStatus(location)
  if (status.status === 404) return
  const name = `the upload of ${content.digest} (${content.size} bytes)`
  const sent = Math.max(0, ...chunks.filter(({ start }) => start < cut.after).map(({ upTo }) => upTo))
  const offset = offsetOf(status.headers['range'])
  if (status.status !== 204 || offset === undefined || offset > sent) {
    findings.problems.push(`${name} is answered ${status.status}, ${status.headers['range']}: ${sent} bytes were sent`)
    return
  }
  const body = content.bytes.subarray(offset)
  const headers = body.length > 0 ? { 'Content-Range': `${offset}-${content.size - 1}` } : {}
  const reply = await client.commitUpload(location, content.digest, { headers, body })
  if (reply.status === 400 && (await canBeSentAnew(client, sending))) {
    findings.sentAnew++
    return
  }
  const stored = await client.getBlob(repository, content.digest)
  if (reply.status === 201 && digestOf(stored.bytes) === content.digest) findings.continued++
  else findings.problems.push(`${name}, continued from ${offset}, is answered ${reply.status} ${reply.bytes}`)
}

/**
 * ext4 may keep the length of a file whose bytes it had not written yet. They are found to be wrong at the end: nothing
 * is stored then, the upload is gone, and the same content can be pushed.
 */
async function canBeSentAnew(client: Client, { repository, content, location }: Sending): Promise<boolean> {
  const before = await client.getBlob(repository, content.digest)
  const upload = await client.uploadStatus(location)
  const again = await client.startUpload(repository, `?digest=${content.digest}`, { body: content.bytes })
  return before.status === 404 && upload.status === 404 && again.status === 201
}

/** `0-0` is said of no bytes at all; the load never sends a single one. */
function offsetOf(range: string | string[] | undefined): number | undefined {
  const last = /^0-(\d+)$/.exec(String(range))?.[1]
  if (last === undefined) return undefined
  return last === '0' ? 0 : Number(last) + 1
}
