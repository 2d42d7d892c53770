/**
 * The kinds of values. A file and the environment give text, lists and maps; what a text means is decided here, by the
 * option it stands at, and not by YAML: `yes` is true for a switch, and three letters for a secret.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { peersFrom } from '../client-address.ts'
import { formatDuration, parseDuration, parseSize } from './durations.ts'
import { isMap, type Tree } from './tree.ts'

export interface Kind<T> {
  /** In one or two words, for the documentation. */
  readonly name: string
  readonly expected: string
  /** Nothing where the input is not of this kind. */
  readonly parse: (input: Tree) => T | undefined
  /** A single text: whatever a variable holds that is no YAML scalar is taken literally. */
  readonly literal?: boolean
  /** A list or a map, whose entries have variables of their own. */
  readonly holdsMore?: true
}

function fromText<T>(name: string, expected: string, parse: (text: string) => T | undefined): Kind<T> {
  return { name, expected, literal: true, parse: (input) => (typeof input === 'string' ? parse(input) : undefined) }
}

export function text(expected = 'text'): Kind<string> {
  return fromText('text', expected, (value) => (value === '' ? undefined : value))
}

export function parsedText<T>(name: string, expected: string, parse: (text: string) => T | undefined): Kind<T> {
  return fromText(name, expected, parse)
}

/** YAML 1.1 has more words for it than YAML 1.2. */
const truths = new Map(
  Object.entries({ true: true, yes: true, on: true, y: true, false: false, no: false, off: false, n: false }),
)

export const flag: Kind<boolean> = {
  ...fromText('true or false', 'true or false', (value) => truths.get(value.toLowerCase())),
  literal: false,
}

export function count(least: number, most = Number.MAX_SAFE_INTEGER): Kind<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `between ${least} and ${most}`
  return fromText('whole number', `a whole number, ${range}`, (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN
    return number >= least && number <= most ? number : undefined
  })
}

/** `least` and `most` in milliseconds. */
export function duration(least: number, most = Number.POSITIVE_INFINITY): Kind<number> {
  const expected = 'a duration such as 1h30m or 45s (without a unit it is nanoseconds)'
  const bounds = [
    ...(least > 0 ? [`at least ${formatDuration(least)}`] : []),
    ...(Number.isFinite(most) ? [`at most ${formatDuration(most)}`] : []),
  ]
  return fromText('duration', [expected, ...bounds].join(', '), (value) => {
    const ms = parseDuration(value)
    return ms !== undefined && ms >= least && ms <= most ? ms : undefined
  })
}

/** `least` and `most` in bytes. */
export function size(least: number, most: number): Kind<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? '' : `, between ${least} and ${most} bytes`
  return fromText('size', `a size such as 4MiB${range}`, (value) => {
    const bytes = parseSize(value)
    return bytes !== undefined && bytes >= least && bytes <= most ? bytes : undefined
  })
}

/** `auto`, or a value of that kind. */
export function autoOr<T>(kind: Kind<T>): Kind<T | 'auto'> {
  return {
    ...kind,
    name: `${kind.name} or auto`,
    expected: `auto, or ${kind.expected}`,
    parse: (input) => (input === 'auto' ? 'auto' : kind.parse(input)),
  }
}

/** One of some words; capital letters do not matter. */
export function choice<const T extends string>(...words: readonly T[]): Kind<T> {
  const expected = words.length === 2 ? words.join(' or ') : `one of ${words.join(', ')}`
  return fromText(words.join(', '), expected, (value) =>
    words.find((word) => word.toLowerCase() === value.toLowerCase()),
  )
}

/** As a list, or as one text with commas. */
export function list<T>(expected: string, parse: (entry: string) => T | undefined): Kind<readonly T[]> {
  return {
    name: 'list',
    holdsMore: true,
    expected,
    parse: (input) => {
      const entries = typeof input === 'string' ? input.split(',') : input
      if (!Array.isArray(entries)) return undefined
      const parsed = entries.flatMap((entry) => (typeof entry === 'string' ? (parse(entry.trim()) ?? []) : []))
      return parsed.length === entries.length ? parsed : undefined
    },
  }
}

export const networks = list('a list of addresses and ranges such as 10.0.0.0/8, or unix', (entry) =>
  attempt(() => peersFrom([entry])) ? entry : undefined,
)

export const fields: Kind<Readonly<Record<string, string>>> = {
  name: 'map',
  holdsMore: true,
  expected: 'a map of names to texts',
  parse: (input) => {
    if (!isMap(input)) return undefined
    const entries = Object.entries(input).map(([name, value]): [string, Tree] => [name, value ?? ''])
    return entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')
      ? Object.fromEntries(entries)
      : undefined
  },
}

export const headers: Kind<Readonly<Record<string, readonly string[]>>> = {
  name: 'map of lists',
  holdsMore: true,
  expected: 'a map of header names to lists of values',
  parse: (input) => {
    if (!isMap(input)) return undefined
    const entries = Object.entries(input).map(([name, value]): [string, Tree[]] => [name, [value ?? []].flat()])
    return entries.every((entry): entry is [string, string[]] => isHeader(...entry))
      ? Object.fromEntries(entries)
      : undefined
  },
}

function isHeader(name: string, values: readonly Tree[]): boolean {
  return values.every((value) => typeof value === 'string' && attempt(() => validateHeader(name, value)))
}

function validateHeader(name: string, value: string): void {
  validateHeaderName(name)
  validateHeaderValue(name, value)
}

function attempt(act: () => unknown): boolean {
  try {
    act()
    return true
  } catch {
    return false
  }
}

/** Taken as it is and looked at by nobody. */
export const anything: Kind<true> = { name: 'anything', expected: 'anything', parse: () => true }
