/**
 * What `strace -f -yy -xx` wrote, as calls: which one, by whom, on what, and when it began and ended. Time is the number
 * of the line: a call that strace saw begin on one line and end on another lasts from the one to the other.
 *
 * ```
 * 17 1795.1 pwrite64(9</r/berth/berth.db-wal>, "\x37...", 24, 0) = 24           begin = end = this line
 * 18 1795.2 fsync(21</r/docker> <unfinished ...>                                begin
 * 17 1795.3 rename("...", "...") = 0
 * 18 1795.4 <... fsync resumed>) = 0                                            end
 * ```
 *
 * Every text is written in hexadecimal, so that brackets, commas and quotes are strace's own wherever they stand.
 */
import { resolve } from 'node:path'

export interface Call {
  readonly name: string
  /** The thread. */
  readonly thread: string
  readonly begin: number
  readonly end: number
  /** As strace wrote them. */
  readonly text: string
  /** Texts among the arguments; those of `writev` in their order. */
  readonly texts: readonly Buffer[]
  /** What the first argument stands for, where it is a descriptor: a path, or `TCP:[...]`. Nothing for what is deleted. */
  readonly target: string | undefined
  /** strace could not show all of a text. */
  readonly shortened: boolean
  readonly result: number
  /** What the descriptor that was returned stands for. */
  readonly opened: string | undefined
}

/** Lines of one trace; `offset` is added to their numbers, for one that follows another. */
export function parseTrace(trace: string, offset = 0): { readonly calls: Call[]; readonly length: number } {
  const lines = trace.split('\n')
  const unfinished = new Map<string, { readonly text: string; readonly begin: number }>()
  const calls: Call[] = []
  for (const [index, line] of lines.entries()) {
    const at = offset + index
    const head = /^(\d+) +[\d.]+ /.exec(line.slice(0, 60))
    if (!head?.[1]) continue
    const thread = head[1]
    const rest = line.slice(head[0].length)
    if (rest.startsWith('+++') || rest.startsWith('---')) continue
    if (rest.endsWith('<unfinished ...>')) {
      unfinished.set(thread, { text: rest.slice(0, -'<unfinished ...>'.length).trimEnd(), begin: at })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest.slice(0, 60))
    const before = unfinished.get(thread)
    if (resumed && !before) throw new Error(`line ${index + 1} of the trace resumes what never began`)
    unfinished.delete(thread)
    const whole = resumed ? (before?.text ?? '') + rest.slice(resumed[0].length) : rest
    const call = parseCall(whole, { thread, begin: resumed ? (before?.begin ?? at) : at, end: at })
    if (call) calls.push(call)
  }
  // A call that never ended may have done its work or not: nobody was told, and the model leaves it out.
  calls.sort((a, b) => a.begin - b.begin)
  return { calls, length: lines.length }
}

function parseCall(text: string, when: Pick<Call, 'thread' | 'begin' | 'end'>): Call | undefined {
  const open = text.indexOf('(')
  const equals = text.lastIndexOf(' = ')
  if (open < 0 || equals < open) return undefined
  const result = /^(-?\d+)(?:<(.*)>)?/.exec(text.slice(equals + 3))
  if (!result) return undefined
  const args = text
    .slice(open + 1, equals)
    .trimEnd()
    .slice(0, -1)
  const target = /^(?:\d+|AT_FDCWD)<((?:->|[^>])*)>(?!\(deleted\))/.exec(args.slice(0, 9000))?.[1]
  return {
    ...when,
    name: text.slice(0, open),
    text: args,
    texts: textsOf(args),
    shortened: args.includes('"...'),
    target: target === undefined ? undefined : plain(target),
    result: Number(result[1]),
    opened: result[2] === undefined ? undefined : plain(result[2]),
  }
}

function textsOf(args: string): Buffer[] {
  const parts = args.split('"')
  return parts.filter((_, index) => index % 2 === 1).map((hex) => Buffer.from(hex.replaceAll('\\x', ''), 'hex'))
}

function plain(name: string): string {
  return name.startsWith('\\x') ? Buffer.from(name.replaceAll('\\x', ''), 'hex').toString() : name
}

/** The path that stands at `index` among the texts, seen from the folder that the first argument may be. */
export function pathAt(call: Call, index: number): string {
  const text = call.texts[index]?.toString() ?? ''
  return resolve(call.target ?? '/', text)
}

/** The number that is the argument at this place, counted from the end (0 is the last). */
export function numberFromEnd(call: Call, place: number): number {
  const parts = call.text.slice(-200).split(', ')
  return Number(parts[parts.length - 1 - place])
}
