import { type Content, freshContent, KIB, literalContent } from '../content.ts'
import type { Connection } from '../http-client.ts'
import { MANIFEST_TYPE, pushBlob, putManifest } from '../registry-client.ts'

export type Image = {
  readonly layers: readonly Content[]
  readonly config: Content
  readonly manifest: Content
}

const LAYERS = 3
const LAYER_SIZE = 20 * KIB
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'

export const IMAGE_BYTES = LAYERS * LAYER_SIZE

/** A whole small image that no registry has seen. */
export function freshImage(): Image {
  const layers = Array.from({ length: LAYERS }, () => freshContent(LAYER_SIZE))
  const rootfs = { type: 'layers', diff_ids: layers.map((layer) => layer.digest) }
  const config = literalContent(Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs })))
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptorOf(config, CONFIG_TYPE),
    layers: layers.map((layer) => descriptorOf(layer, LAYER_TYPE)),
  }
  return { layers, config, manifest: literalContent(Buffer.from(JSON.stringify(manifest))) }
}

export async function pushImage(
  connection: Connection,
  repository: string,
  reference: string,
  image: Image,
): Promise<void> {
  for (const blob of [...image.layers, image.config]) await pushBlob(connection, repository, blob)
  const [manifest = Buffer.alloc(0)] = image.manifest.plain()
  await putManifest(connection, `/v2/${repository}/manifests/${reference}`, manifest)
}

function descriptorOf({ digest, size }: Content, mediaType: string) {
  return { mediaType, digest, size }
}
