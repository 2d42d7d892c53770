/** Conditional requests over strong entity tags, which are digests here (RFC 9110 section 13). */

export const entityTag = (digest: string): string => `"${digest}"`

/** The tags of an If-Match or If-None-Match header, quotes and weakness taken off; docker sends them bare. */
export function entityTags(header: string): string[] {
  return header
    .split(',')
    .map((each) =>
      each
        .trim()
        .replace(/^W\//, '')
        .replace(/^"(.*)"$/, '$1'),
    )
    .filter((each) => each !== '')
}

/** Whether the client has this representation already. */
export function isNotModified(ifNoneMatch: string | undefined, digest: string): boolean {
  if (!ifNoneMatch) return false
  const tags = entityTags(ifNoneMatch)
  return tags.includes(digest) || tags.includes('*')
}
