import { type Digest, parseDigest } from './digest.ts'
import { parseTag, type Tag } from './name.ts'

/** What the last part of a manifest's address names: a tag, or a digest. */
export type Reference = { readonly tag: Tag } | { readonly digest: Digest }

/** `:` cannot occur in a tag, so whatever holds one is meant as a digest. */
export function looksLikeDigest(text: string): boolean {
  return text.includes(':')
}

export function parseReference(text: string): Reference | undefined {
  if (looksLikeDigest(text)) {
    const digest = parseDigest(text)
    return digest && { digest }
  }
  const tag = parseTag(text)
  return tag && { tag }
}

export function referenceText(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest
}
