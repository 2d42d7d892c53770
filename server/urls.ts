/** Addresses that answers carry. Paths by default: a client resolves them, whatever proxy stands in between. */
import type { Digest } from '../oci/digest.ts'
import type { RepositoryName, UploadId } from '../oci/name.ts'
import type { Behaviour } from './exchange.ts'

type Base = Pick<Behaviour, 'origin' | 'prefix'>

const at = ({ origin, prefix }: Base, path: string): string => `${origin}${prefix}${path}`

export const urls = {
  blob: (base: Base, name: RepositoryName, digest: Digest) => at(base, `/v2/${name}/blobs/${digest}`),
  manifest: (base: Base, name: RepositoryName, digest: Digest) => at(base, `/v2/${name}/manifests/${digest}`),
  upload: (base: Base, name: RepositoryName, id: UploadId) => at(base, `/v2/${name}/blobs/uploads/${id}`),
  /** The same list from `last` on, as a Link header (RFC 8288). */
  nextPage: (base: Base, path: string, parameters: Readonly<Record<string, string>> | URLSearchParams) =>
    `<${at(base, path)}?${new URLSearchParams(parameters)}>; rel="next"`,
}
