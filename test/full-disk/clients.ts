/** Pushing until it is refused, and looking at what is there. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { run } from '../cli/command.ts'
import type { BerthProcess } from '../support/berth-process.ts'
import { type Client, createClient, jsonOf, type Reply } from '../support/client.ts'
import { type Built, blob, image } from '../support/image.ts'

export interface Acknowledged {
  readonly tag: string
  readonly built: Built
}

export const name = 'team/app'

/** 503, the code of the specification's list, and when to try again. */
export function isRefusal(reply: Reply): void {
  assert.equal(reply.status, 503, `${reply.status} ${reply.bytes}`)
  assert.equal(jsonOf<{ errors: { code: string }[] }>(reply).errors[0]?.code, 'UNAVAILABLE')
  assert.match(String(reply.headers['retry-after']), /^\d+$/)
}

/** One image; or the answer that did not take it. */
export async function tryPush(client: Client, tag: string, bytes: number): Promise<Acknowledged | Reply> {
  const built = image({ layers: [blob(bytes)] })
  for (const { digest, bytes: body } of built.blobs) {
    const started = await client.startUpload(name)
    if (started.status !== 202) return started
    const half = Math.floor(body.length / 2)
    const grown = await client.appendUpload(String(started.headers['location']), { body: body.subarray(0, half) })
    if (grown.status !== 202) return grown
    const done = await client.commitUpload(String(grown.headers['location']), digest, { body: body.subarray(half) })
    if (done.status !== 201) return done
  }
  const headers = { 'Content-Type': built.mediaType }
  const put = await client.putManifest(name, tag, { headers, body: built.bytes })
  return put.status === 201 ? { tag, built } : put
}

export const isPushed = (outcome: Acknowledged | Reply): outcome is Acknowledged => 'built' in outcome

export async function isWhole(client: Client, { tag, built }: Acknowledged): Promise<void> {
  const manifest = await client.getManifest(name, tag)
  assert.equal(manifest.status, 200, `${tag}: ${manifest.bytes}`)
  assert.ok(manifest.bytes.equals(built.bytes))
  for (const { digest, bytes } of built.blobs) {
    const pulled = await client.getBlob(name, digest)
    assert.equal(pulled.status, 200, `${digest}: ${pulled.bytes}`)
    assert.ok(pulled.bytes.equals(bytes), digest)
  }
}

/** Frees what nothing refers to, by the command that a person would give. */
export async function collect(berth: BerthProcess): Promise<void> {
  const env = { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: berth.root }
  const { code, stdout, stderr } = await run(['gc', '--yes'], env).result
  assert.equal(code, 0, `${stdout}${stderr}${berth.output()}`)
}

/** Every file under a digest holds what hashes to it. */
export function noneIsTorn(root: string): void {
  const blobs = join(root, 'docker/registry/v2/blobs')
  for (const entry of fs.readdirSync(blobs, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const [algorithm = '', , hex] = entry.parentPath.slice(blobs.length + 1).split('/')
    const actual = createHash(algorithm)
      .update(fs.readFileSync(join(entry.parentPath, entry.name)))
      .digest('hex')
    assert.equal(actual, hex)
  }
}

/** Small files that never got their name. */
export function nothingIsLeft(root: string): void {
  const folder = join(root, 'berth/tmp')
  assert.deepEqual(fs.existsSync(folder) ? fs.readdirSync(folder) : [], [])
}

export const clientOf = (berth: BerthProcess): Client => createClient(berth.url)
