import { createHash, type Hash } from 'node:crypto'

declare const brand: unique symbol

/** `<algorithm>:<encoded>`, of an algorithm that Berth can hash (image-spec, "Digests"). */
export type Digest = string & { readonly [brand]: 'Digest' }
export type DigestAlgorithm = 'sha256' | 'sha512'

export const defaultAlgorithm: DigestAlgorithm = 'sha256'

/** Length of the lower-case hexadecimal part by algorithm. */
const hexLength: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 }
const supported = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/
const grammar = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/
const maxDigestLength = 512

/** The digest, or nothing where it is malformed or of an algorithm that cannot be stored here. */
export function parseDigest(text: string): Digest | undefined {
  return supported.test(text) ? (text as Digest) : undefined
}

/**
 * Whether the text is a digest at all. A descriptor may name an algorithm that this registry cannot hash (image-spec:
 * implementations SHOULD let unknown algorithms pass validation), but never a malformed registered one.
 */
export function isWellFormedDigest(text: string): boolean {
  if (text.length > maxDigestLength || !grammar.test(text)) return false
  const algorithm = text.slice(0, text.indexOf(':'))
  return Object.hasOwn(hexLength, algorithm) ? supported.test(text) : true
}

export function parseAlgorithm(text: string): DigestAlgorithm | undefined {
  return Object.hasOwn(hexLength, text) ? (text as DigestAlgorithm) : undefined
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm
}

/** The part after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = defaultAlgorithm): Digest {
  return toDigest(createHash(algorithm).update(bytes), algorithm)
}

/** Ends a running hash and names its result. */
export function toDigest(hash: Hash, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest
}

/** The digest of no bytes at all. */
export function emptyDigest(algorithm: DigestAlgorithm = defaultAlgorithm): Digest {
  return digestOf(new Uint8Array(0), algorithm)
}
