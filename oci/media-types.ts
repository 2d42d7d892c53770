export const mediaTypes = {
  imageManifest: 'application/vnd.oci.image.manifest.v1+json',
  imageIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  octetStream: 'application/octet-stream',
  json: 'application/json',
} as const

const manifests = new Set<string>([mediaTypes.imageManifest, mediaTypes.dockerManifest])
const indexes = new Set<string>([mediaTypes.imageIndex, mediaTypes.dockerManifestList])
const schema1 = new Set<string>([mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed])

/** Layers that live elsewhere: image-spec "Non-Distributable Layers" and docker's foreign layers. */
const foreignLayer =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.foreign\.diff\.tar(?:\.gzip)?)$/

export const isImageManifestType = (type: string): boolean => manifests.has(type)
export const isIndexType = (type: string): boolean => indexes.has(type)
export const isManifestType = (type: string): boolean => manifests.has(type) || indexes.has(type)
export const isSchema1Type = (type: string): boolean => schema1.has(type)
export const isForeignLayerType = (type: string): boolean => foreignLayer.test(type)

/** The type without parameters, in lower case: `Application/JSON; charset=utf-8` is `application/json`. */
export function bareMediaType(header: string): string {
  const end = header.indexOf(';')
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase()
}

const zeroQuality = /;\s*q=0(?:\.0*)?\s*(?:;|$)/i

/**
 * Whether an Accept header takes this media type (RFC 9110 section 12.5.1). No header, or an empty one, takes
 * everything; of the ranges that name the type the most specific decides; `q=0` excludes; other parameters and case do
 * not matter.
 */
export function accepts(header: string | undefined, mediaType: string): boolean {
  if (header === undefined || header.trim() === '') return true
  const items = header.split(',').map((item) => ({ range: bareMediaType(item), excluded: zeroQuality.test(item) }))
  for (const range of [mediaType, `${mediaType.slice(0, mediaType.indexOf('/'))}/*`, '*/*']) {
    const naming = items.filter((item) => item.range === range)
    if (naming.length > 0) return naming.some((item) => !item.excluded)
  }
  return false
}
