/**
 * JSON that every reader understands alike (I-JSON, RFC 7493; image-spec demands it): UTF-8, and no name twice in one
 * object. `JSON.parse` keeps the last of two equal names where other readers keep the first, which would let one
 * manifest mean two things.
 */

export class NotStrictJson extends Error {}

/** No manifest comes near; what is nested deeper only costs memory, here and in every reader after. */
const maxDepth = 128
const longestEcho = 200

/** What a client sent, as a reason may repeat it: quoted, and not at any length. */
export function echoed(text: string): string {
  return JSON.stringify(text.slice(0, longestEcho))
}

/** Parses bytes; throws `NotStrictJson` with a reason. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new NotStrictJson('it is not JSON')
  }
  refuseAmbiguity(text)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new NotStrictJson('it is not UTF-8')
  }
}

/** Refuses valid JSON text that is nested too deeply, or in which an object holds a name twice. */
function refuseAmbiguity(text: string): void {
  const open: (Set<string> | undefined)[] = []
  // A text of nothing but empty objects would make millions of sets: there are never more than are open at once.
  const spare: Set<string>[] = []
  let expectsName = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x7b: // {
      case 0x5b: // [
        expectsName = text.charCodeAt(at) === 0x7b
        if (open.length === maxDepth) throw new NotStrictJson(`it is nested deeper than ${maxDepth} levels`)
        open.push(expectsName ? (spare.pop() ?? new Set()) : undefined)
        break
      case 0x7d: // }
      case 0x5d: // ]
        reuse(open.pop(), spare)
        expectsName = false
        break
      case 0x2c: // ,
        expectsName = open.at(-1) !== undefined
        break
      case 0x22: {
        const end = endOfString(text, at)
        if (expectsName) addName(open.at(-1), nameOf(text.slice(at, end + 1)))
        expectsName = false
        at = end
        break
      }
    }
  }
}

/**
 * A name of plain letters that is written with escapes is refused: nobody writes one by honest means, and the V8 of Node 26
 * reads it wrongly where the same escape occurred before (`{"\\u006c":0}`, then `{"\u006cayers":[]}` has no `layers`).
 */
function nameOf(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1)
  const name = JSON.parse(literal) as string
  if (plain.test(name))
    throw new NotStrictJson(`the name ${echoed(name)} is written with escapes that it does not need`)
  return name
}

/** Printable ASCII but for what some writer escapes without need: Go `<>&`, PHP the slash. */
const plain = /^[ !#-%'-.0-;=?-[\]-~]*$/

function reuse(names: Set<string> | undefined, spare: Set<string>[]): void {
  if (!names) return
  if (names.size > 0) names.clear()
  spare.push(names)
}

function addName(names: Set<string> | undefined, name: string): void {
  if (names?.has(name)) throw new NotStrictJson(`the name ${echoed(name)} occurs twice in one object`)
  names?.add(name)
}

function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return quote
  }
}
