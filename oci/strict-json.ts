/**
 * JSON that every reader understands alike (I-JSON, RFC 7493; image-spec demands it): UTF-8, and no name twice in one
 * object. `JSON.parse` keeps the last of two equal names where other readers keep the first, which would let one
 * manifest mean two things.
 */

export class NotStrictJson extends Error {}

/** Parses bytes; throws `NotStrictJson` with a reason. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new NotStrictJson('it is not JSON')
  }
  const twice = repeatedName(text)
  if (twice !== undefined) throw new NotStrictJson(`the name ${JSON.stringify(twice)} occurs twice in one object`)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new NotStrictJson('it is not UTF-8')
  }
}

/** The first name that an object of this valid JSON text holds twice. */
function repeatedName(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []
  let expectsName = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
        open.push(new Set())
        expectsName = true
        break
      case 0x5b: // [
        open.push(undefined)
        expectsName = false
        break
      case 0x7d: // }
      case 0x5d: // ]
        open.pop()
        expectsName = false
        break
      case 0x2c: // ,
        expectsName = open.at(-1) !== undefined
        break
      case 0x22: {
        const end = endOfString(text, at)
        if (expectsName) {
          const name = JSON.parse(text.slice(at, end + 1)) as string
          const names = open.at(-1)
          if (names?.has(name)) return name
          names?.add(name)
          expectsName = false
        }
        at = end
        break
      }
    }
  }
  return undefined
}

function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return quote
  }
}
