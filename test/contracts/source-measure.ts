/**
 * How long functions are, and what transactions wait for. TypeScript's types are blanked by Node, then strings, comments
 * and patterns are, so that brackets are all that is left to count.
 */
import { stripTypeScriptTypes } from 'node:module'

export interface MeasuredFunction {
  /** Where it begins, counted from 1. */
  readonly line: number
  /** Lines of its own: those of functions inside it count for them. */
  readonly lines: number
}

const blank = (text: string): string => text.replace(/[^\n]/g, ' ')

/** The code with everything blanked that is not code; every character keeps its place. */
export function skeleton(text: string): string {
  const code = stripTypeScriptTypes(text)
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|(?<=[(,=:[!&|?{};>\n]\s*|return )\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*/g
  let plain = ''
  let at = 0
  const templates = [...templateSpans(code)]
  for (const [start, end] of templates) {
    plain += code.slice(at, start).replace(token, blank) + blank(code.slice(start, end))
    at = end
  }
  return plain + code.slice(at).replace(token, blank)
}

/** Template literals, whole: functions inside one are too short to matter. */
function* templateSpans(code: string): Iterable<readonly [number, number]> {
  const opening =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/(?:\\.|[^/\\\n ])+\/[dgimsuvy]*|`/g
  for (let match = opening.exec(code); match; match = opening.exec(code)) {
    if (match[0] !== '`') continue
    const end = endOfTemplate(code, match.index)
    yield [match.index, end]
    opening.lastIndex = end
  }
}

function endOfTemplate(code: string, start: number): number {
  for (let at = start + 1; at < code.length; at++) {
    if (code[at] === '\\') at++
    else if (code[at] === '`') return at + 1
    else if (code.startsWith('${', at)) at = endOfHole(code, at + 2)
  }
  return code.length
}

function endOfHole(code: string, start: number): number {
  let depth = 1
  for (let at = start; at < code.length; at++) {
    if (code[at] === '`') at = endOfTemplate(code, at) - 1
    else if (code[at] === '{') depth++
    else if (code[at] === '}' && --depth === 0) return at
  }
  return code.length
}

const pairs: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** Where the bracket that opens at `start` closes. */
export function closing(plain: string, start: number): number {
  const open: string[] = []
  for (let at = start; at < plain.length; at++) {
    const character = plain[at]!
    if (pairs[character]) open.push(pairs[character])
    else if (character === open.at(-1)) {
      open.pop()
      if (open.length === 0) return at
    }
  }
  return plain.length - 1
}

const notFunctions = /\b(?:if|for|while|switch|catch|with|await)\s*$/

/** Spans of function bodies: blocks, and the expressions of arrows. */
function* bodies(plain: string): Iterable<readonly [number, number]> {
  for (const { index } of plain.matchAll(/\{/g)) {
    const before = plain.slice(0, index).trimEnd()
    if (before.endsWith('=>')) yield [index, closing(plain, index)]
    else if (before.endsWith(')') && !notFunctions.test(plain.slice(0, openingOf(before)))) {
      yield [index, closing(plain, index)]
    }
  }
  for (const match of plain.matchAll(/=>\s*(?=[^\s{])/g)) {
    const start = match.index + match[0].length
    yield [start, endOfExpression(plain, start)]
  }
}

/** Where the parenthesis that ends `text` opens. */
function openingOf(text: string): number {
  let depth = 0
  for (let at = text.length - 1; at >= 0; at--) {
    if (text[at] === ')') depth++
    else if (text[at] === '(' && --depth === 0) return at
  }
  return 0
}

function endOfExpression(plain: string, start: number): number {
  for (let at = start; at < plain.length; at++) {
    const character = plain[at]!
    if (pairs[character]) at = closing(plain, at)
    else if (')]},;'.includes(character)) return at - 1
    else if (character === '\n' && !/^\s*[.?:&|+*]/.test(plain.slice(at + 1))) return at - 1
  }
  return plain.length - 1
}

export function measureFunctions(text: string): MeasuredFunction[] {
  const plain = skeleton(text)
  const lineAt = (at: number): number => plain.slice(0, at).split('\n').length
  const spans = [...bodies(plain)].map(([start, end]) => ({ start, end, first: lineAt(start), last: lineAt(end) }))
  return spans.map(({ start, end, first, last }) => {
    const inner = new Set<number>()
    for (const each of spans) {
      if (each.start <= start || each.end > end || each.first === first) continue
      for (let line = each.first + 1; line < each.last; line++) inner.add(line)
    }
    return { line: first, lines: last - first + 1 - inner.size }
  })
}

/**
 * What transactions wait for besides queries: each `await` inside `write(async (changed) => …)`, or inside a function
 * that is given `changed`, must be of something that `changed` is part of.
 */
export function foreignWaits(text: string): string[] {
  const plain = skeleton(text)
  const begins = /\bwrite\(\s*async \(changed\) =>|\bfunction \w+\(\s*changed\b|async \(changed\b[^)]*\) =>/g
  const found: string[] = []
  for (const { index, 0: match } of plain.matchAll(begins)) {
    const open = plain.indexOf('{', index + match.length)
    const body = plain.slice(open, closing(plain, open))
    for (const wait of body.matchAll(/\bawait\s+([^\n]*)/g)) {
      if (!/^\(*(?:await )?\(*(?:changed\.|[\w.]+\(changed\b)/.test(wait[1] ?? '')) found.push((wait[1] ?? '').trim())
    }
  }
  return found
}
