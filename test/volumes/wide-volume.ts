/** A volume of very many small repositories, written as a tree: pushing them would take hours. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Built, blob, image } from '../support/image.ts'

export interface WideVolume {
  /** Names in the order in which they sort. */
  nameOf(number: number): string
  /** Of that repository, under the tag `v1`. */
  imageOf(number: number): Built
}

/** All share a layer; each has a manifest of its own. */
export function describeWide(): WideVolume {
  const layers = [blob(Buffer.alloc(3000, 'the layer of all'))]
  const config = blob('{"config":"of all"}', { mediaType: 'application/vnd.oci.image.config.v1+json' })
  return {
    nameOf: (number) => `wide/n${String(number).padStart(6, '0')}`,
    imageOf: (number) => image({ config, layers, fields: { annotations: { number: String(number) } } }),
  }
}

export function writeWideVolume(root: string, repositories: number): WideVolume {
  const wide = describeWide()
  const v2 = join(root, 'docker/registry/v2')
  const shared = wide.imageOf(0).blobs
  for (const each of shared) writeData(v2, each.digest, each.bytes)
  for (let number = 0; number < repositories; number++) {
    const built = wide.imageOf(number)
    writeData(v2, built.digest, built.bytes)
    const folder = join(v2, 'repositories', wide.nameOf(number))
    for (const { digest } of shared) writeLink(join(folder, '_layers', spread(digest)), digest)
    writeLink(join(folder, '_manifests/revisions', spread(built.digest)), built.digest)
    writeLink(join(folder, '_manifests/tags/v1/current'), built.digest)
    writeLink(join(folder, '_manifests/tags/v1/index', spread(built.digest)), built.digest)
  }
  return wide
}

const spread = (digest: string): string => digest.replace(':', '/')

function writeLink(folder: string, digest: string): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'link'), digest)
}

function writeData(v2: string, digest: string, bytes: Uint8Array): void {
  const file = dataPath(v2, digest)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, bytes)
}

/** Below `docker/registry/v2`. */
export function dataPath(v2: string, digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(v2, 'blobs', algorithm, hex.slice(0, 2), hex, 'data')
}
