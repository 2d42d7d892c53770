/** Bytes `start` to `end`, both inclusive, as HTTP counts them. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export const lengthOf = (range: ByteRange): number => range.end - range.start + 1

/** What a Range header asks of a representation of known size (RFC 9110 section 14.2). */
export type RangeRequest =
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' }

/** More ranges than this, or ranges that overlap, are answered with the whole: they cost more than they save. */
const maxRanges = 32
const whole: RangeRequest = { kind: 'whole' }

/**
 * Reads a Range header. A unit other than `bytes` and anything malformed is ignored, except that a range which runs
 * backwards (`500-0`) is unsatisfiable, as the conformance suite expects.
 */
export function parseRange(header: string | undefined, size: number): RangeRequest {
  if (header === undefined) return whole
  const match = /^bytes=(.*)$/i.exec(header.trim())
  if (!match?.[1]) return whole
  const ranges: ByteRange[] = []
  const specs = match[1].split(',')
  if (specs.length > maxRanges) return whole
  for (const spec of specs) {
    const range = parseSpec(spec.trim(), size)
    if (range === 'malformed') return whole
    if (range !== 'unsatisfiable') ranges.push(range)
  }
  if (ranges.length === 0) return { kind: 'unsatisfiable' }
  return overlaps(ranges) ? whole : { kind: 'parts', ranges }
}

function parseSpec(spec: string, size: number): ByteRange | 'malformed' | 'unsatisfiable' {
  const match = /^(\d{0,15})-(\d{0,15})$/.exec(spec)
  if (!match || (match[1] === '' && match[2] === '')) return 'malformed'
  if (match[1] === '') {
    const suffix = Number(match[2])
    return suffix === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), end: size - 1 }
  }
  const start = Number(match[1])
  const end = match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1)
  return start >= size || start > end ? 'unsatisfiable' : { start, end }
}

function overlaps(ranges: readonly ByteRange[]): boolean {
  const sorted = [...ranges].sort((a, b) => a.start - b.start)
  return sorted.some((range, index) => index > 0 && range.start <= sorted[index - 1]!.end)
}

/**
 * The Content-Range of an upload chunk: `<start>-<end>`, without unit or total (distribution-spec, "Pushing a blob in
 * chunks"). The spelling of HTTP, `bytes 0-9/*`, is taken as well, because some clients send it.
 */
export function parseChunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim())
  if (!match) return undefined
  const range = { start: Number(match[1]), end: Number(match[2]) }
  return range.end >= range.start ? range : undefined
}
