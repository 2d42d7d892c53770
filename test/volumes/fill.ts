/** A volume as years leave it: every kind of content, and every way of changing it. */
import { gzipSync } from 'node:zlib'
import { artifact, type Built, blob, describeContent, image, index, manifest, types } from '../support/image.ts'
import type { Filler } from './filler.ts'

export interface FillOptions {
  /** Registries before 3 delete manifests alone. */
  readonly deletesTags: boolean
}

export interface Referrer {
  readonly name: string
  readonly subject: string
  readonly digest: string
  readonly artifactType: string
}

export interface Filled {
  /** An image that stays as it is, under the tag `kept`. */
  readonly kept: { readonly name: string; readonly image: Built }
  readonly referrers: readonly Referrer[]
}

/** `last` comes last where names are sorted. */
export const names = {
  app: 'library/app',
  nested: 'team/deep/nested/name',
  signed: 'library/signed',
  mounted: 'library/mounted',
  last: 'zz/last',
} as const

export async function fill(filler: Filler, options: FillOptions): Promise<Filled> {
  const app = await fillTags(filler, options)
  await fillIndexes(filler)
  const referrers = await fillReferrers(filler)
  await fillMounts(filler, app)
  await fillOdds(filler)
  const kept = { name: names.last, image: await filler.push(names.last, image(), 'kept') }
  return { kept, referrers }
}

/** Overwritten, deleted by tag, deleted by digest. */
async function fillTags(filler: Filler, { deletesTags }: FillOptions): Promise<Built> {
  const name = names.app
  const first = await filler.push(name, image({ layers: [blob(70_000), blob(10)] }), 'v1', 'latest', 'v1.0.0')
  await filler.push(name, image(), 'v2', 'latest')
  const third = await filler.push(name, image(), 'latest')
  await filler.push(name, image(), 'latest')
  await filler.tag(name, third, 'latest')
  const gone = await filler.push(name, image(), 'gone', 'also-gone')
  await filler.remove(name, gone.digest)
  const back = await filler.push(name, image(), 'back')
  await filler.remove(name, back.digest)
  await filler.tag(name, back, 'back')
  await filler.push(name, image(), 'tag-gone')
  if (deletesTags) await filler.remove(name, 'tag-gone')
  await filler.push('library/all-gone', image(), 'only').then(({ digest }) => filler.remove('library/all-gone', digest))
  return first
}

async function fillIndexes(filler: Filler): Promise<void> {
  const platforms = ['linux/amd64', 'linux/arm64']
  await filler.push(names.nested, index([image(), image()], { platforms }), 'multi')
  const docker = () => image({ mediaType: types.dockerImage })
  const list = index([docker(), docker()], { mediaType: types.dockerList, platforms })
  await filler.push(names.nested, list, 'docker')
  await filler.push('team/deep', docker(), 'v1')
  await filler.push('team', image(), 'v1')
  // Without a media type in its bytes: what it was pushed as is all that tells.
  const parts = image()
  const plain = {
    schemaVersion: 2,
    config: describeContent(parts.blobs[0]!),
    layers: [describeContent(parts.blobs[1]!)],
  }
  await filler.push(names.nested, manifest(plain, types.image, 'sha256', parts.blobs), 'plain')
}

/** With the tag that clients keep for registries which cannot list referrers. */
async function fillReferrers(filler: Filler): Promise<Referrer[]> {
  const name = names.signed
  const subject = await filler.push(name, image(), 'v1')
  const found: Referrer[] = []
  for (const artifactType of ['application/vnd.example.signature', 'application/vnd.example.sbom']) {
    const { digest } = await filler.push(name, artifact(artifactType, subject))
    found.push({ name, subject: subject.digest, digest, artifactType })
  }
  const manifests = found.map(({ digest, artifactType }) => ({
    mediaType: types.image,
    digest,
    size: 1,
    artifactType,
  }))
  const listed = manifest({ schemaVersion: 2, mediaType: types.index, manifests }, types.index)
  await filler.tag(name, listed, subject.digest.replace(':', '-'))
  return found
}

async function fillMounts(filler: Filler, app: Built): Promise<void> {
  for (const content of app.blobs) await filler.mount(names.mounted, content, names.app)
  await filler.tag(names.mounted, app, 'same')
  const [, layer] = app.blobs
  const own = image({ layers: [layer!, blob(500)] })
  await filler.pushBlob(names.mounted, own.blobs[0]!)
  await filler.pushBlob(names.mounted, own.blobs[2]!)
  await filler.tag(names.mounted, own, 'own')
}

async function fillOdds(filler: Filler): Promise<void> {
  await filler.push('library/empty', image({ layers: [blob(''), blob(gzipSync(Buffer.alloc(1024)))] }), 'v1')
  await filler.push('library/untagged', image())
  await filler.push('library/many', image(), ...Array.from({ length: 25 }, (_, n) => `t${n}`))
  await filler.pushBlob('library/blob-alone', blob(2000))
  await filler.leaveOpen('library/open', blob(3000))
  await filler.push('library/open', image(), 'v1')
}
