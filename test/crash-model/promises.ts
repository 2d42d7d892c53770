/** What clients had been told at a moment of the trace, and what a request that was under way may have changed. */
import type { Call } from './parse-trace.ts'
import type { Asked, Changes, UploadNote } from './record.ts'

export interface Answered {
  readonly what: string
  readonly changes: Changes
  /** The server took the connection. */
  readonly begin: number
  /** The first byte of the answer left. */
  readonly end: number
}

export interface Promised {
  /** By key of a fact, the values it may have; the first is what was acknowledged last. */
  readonly facts: ReadonlyMap<string, readonly (string | undefined)[]>
  /** Uploads that clients would go on with. */
  readonly uploads: readonly UploadNote[]
}

/** Finds each request in the trace by the port it came from. */
export function findAnswers(calls: readonly Call[], asked: readonly Asked[]): Answered[] {
  const begins = new Map<number, number>()
  const answers: Answered[] = []
  const waiting = [...asked]
  for (const call of calls) {
    if (call.name === 'accept4' && call.opened) begins.set(clientPort(call.opened), call.begin)
    const text =
      call.name.startsWith('write') && call.target?.startsWith('TCP') ? call.texts[0]?.toString('latin1') : ''
    if (!text || !/^HTTP\/1\.1 2/.test(text) || !call.target) continue
    const port = clientPort(call.target)
    const index = waiting.findIndex((each) => each.port === port)
    if (index < 0) continue
    const [{ what, changes }] = waiting.splice(index, 1) as [Asked]
    answers.push({ what, changes, begin: begins.get(port) ?? call.begin, end: call.begin })
  }
  if (waiting.length > 0) throw new Error(`not found in the trace: ${waiting.map(({ what }) => what).join(', ')}`)
  return answers
}

/** `TCP:[here->there]`, and the same with `TCPv6`. */
function clientPort(connection: string): number {
  return Number(/:(\d+)\]?\]?$/.exec(connection)?.[1])
}

export function promisedAt(answers: readonly Answered[], uploads: readonly UploadNote[], at: number): Promised {
  const facts = new Map<string, (string | undefined)[]>()
  // In the order of their answers: what is told later wins.
  for (const { changes, end } of answers) {
    if (end <= at) for (const [key, value] of Object.entries(changes)) facts.set(key, [value])
  }
  for (const { changes, begin, end } of answers) {
    if (begin > at || end <= at) continue
    for (const [key, value] of Object.entries(changes)) facts.set(key, [...(facts.get(key) ?? [undefined]), value])
  }
  const began = (location: string) => answers.some((each) => each.end <= at && each.what === `PATCH ${location}`)
  const ended = (location: string) =>
    answers.some((each) => each.begin <= at && each.what.startsWith(`PUT ${location}`))
  return { facts, uploads: uploads.filter(({ location }) => began(location) && !ended(location)) }
}
