/** How the bucket is reached and written. Names are the configuration's. */
export interface S3Settings {
  readonly bucket: string
  readonly region: string
  /** A URL, or host and port; Amazon's own where it is absent. */
  readonly endpoint?: string | undefined
  /** Where clients reach the same store, for addresses that they are sent to. */
  readonly publicEndpoint?: string | undefined
  /** The bucket's name in the path and not in the host. Default: wherever there is an endpoint. */
  readonly pathStyle?: boolean | undefined
  /** Folder of the bucket that everything lies in; '' for the bucket itself. */
  readonly root?: string | undefined
  readonly accessKey?: string | undefined
  readonly secretKey?: string | undefined
  readonly sessionToken?: string | undefined
  /** HTTPS where the endpoint does not say. Default true; Amazon itself is never asked without. */
  readonly secure?: boolean | undefined
  /** Takes any certificate. */
  readonly skipVerify?: boolean | undefined
  readonly encrypt?: boolean | undefined
  readonly keyId?: string | undefined
  readonly storageClass?: string | undefined
  readonly acl?: string | undefined
  /** Bytes of a part of a large upload; the parts of the largest uploads are larger. */
  readonly chunkSize?: number | undefined
  readonly copyChunkSize?: number | undefined
  readonly copyConcurrency?: number | undefined
  /** Objects up to this size are copied in one request. */
  readonly copyThreshold?: number | undefined
  readonly userAgent?: string | undefined
  readonly dualStack?: boolean | undefined
  readonly accelerate?: boolean | undefined
  readonly fips?: boolean | undefined
  readonly checksums?: 'required' | 'supported' | undefined
  /** What all bodies that arrive may hold in memory together. */
  readonly memoryBytes?: number | undefined
  /** How long an address that a client is sent to can be used. */
  readonly addressLifetimeMs?: number | undefined
}

export const mebibyte = 1024 * 1024
/** S3 takes no smaller part, but for the last one. */
export const smallestPart = 5 * mebibyte
/** S3 copies no more at once. */
export const largestCopy = 5 * 1024 * mebibyte
export const mostParts = 10_000

export const defaults = {
  chunkSize: 8 * mebibyte,
  copyChunkSize: 32 * mebibyte,
  copyConcurrency: 16,
  copyThreshold: 64 * mebibyte,
  memoryBytes: 256 * mebibyte,
  addressLifetimeMs: 20 * 60_000,
} as const
