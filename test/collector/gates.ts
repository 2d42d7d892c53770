/** Storage and facts whose every call is a step of a schedule; what is planted in them is wrong on purpose. */
import { LockBusy, type Locks } from '../../coordination/locks.ts'
import type { FactQueries, Facts } from '../../metadata/facts.ts'
import type { StorageDriver } from '../../storage/driver.ts'
import type { Scheduler } from './scheduler.ts'

/** What is done wrong, to show that it would be found. */
export interface Sabotage {
  readonly reads?: (reads: FactQueries) => FactQueries
  /** `afterwards` runs when the transaction is committed, before anybody else has a turn. */
  readonly changes?: (
    changed: FactQueries,
    afterwards: (sql: string, ...values: (string | number)[]) => void,
  ) => FactQueries
}

type Call = (...given: unknown[]) => unknown
type Group = Readonly<Record<string, Call>>

export function gateDriver(
  inner: StorageDriver,
  { step }: Scheduler,
  onDelete: (key: string) => Promise<void>,
): StorageDriver {
  const through = <T>(what: string, work: () => Promise<T>) => step({ what }, work)
  return {
    name: inner.name,
    reach: inner.reach,
    stat: (key) => through(`stat ${short(key)}`, () => inner.stat(key)),
    open: (key) => through(`open ${short(key)}`, () => inner.open(key)),
    async write(key, content, options) {
      const copy = Uint8Array.from(content)
      await options?.after
      await through(`write ${short(key)}`, () => inner.write(key, copy))
    },
    delete: (key) =>
      through(`delete ${short(key)}`, async () => {
        await onDelete(key)
        await inner.delete(key)
      }),
    list: (prefix) => inner.list(prefix),
    children: (prefix) => inner.children(prefix),
    flush: (keys) => through(`flush ${keys.length} keys`, () => inner.flush(keys)),
    space: () => inner.space(),
    place: () => inner.place(),
    begin: (key) => inner.begin(key),
    append: (stage, bytes, observe, arrival) => inner.append(stage, bytes, observe, arrival),
    inspect: (stage) => inner.inspect(stage),
    reread: (stage, observe) => inner.reread(stage, observe),
    harden: (stage) => inner.harden(stage),
    seal: (stage, key) => through(`move bytes to ${short(key)}`, () => inner.seal(stage, key)),
    discard: (stage) => through('discard', () => inner.discard(stage)),
    staged: (prefix) => inner.staged(prefix),
    sweep: () => inner.sweep(),
    probe: () => inner.probe(),
    close: () => inner.close(),
  }
}

export interface GatedFacts {
  readonly inner: Facts
  readonly sabotage: Sabotage
  /** Runs a statement beside the facts' own connections. */
  readonly execute: (sql: string, ...values: (string | number)[]) => void
}

export function gateFacts({ inner, sabotage, execute }: GatedFacts, { step, clock }: Scheduler): Facts {
  const reads = sabotage.reads?.(inner.read) ?? inner.read
  return {
    ...inner,
    read: withCalls(reads, (group, name, call) => {
      const what = `reads ${group}.${name}`
      if (group === 'collection' && name === 'find') return (digest) => untilPardoned(digest as string)
      return (...given) => step({ what }, async () => call(...given))
    }),
    write(work) {
      const later: Parameters<Parameters<NonNullable<Sabotage['changes']>>[1]>[] = []
      const what = { what: 'writes', changes: true }
      return step(what, async () => {
        const outcome = await inner.write(
          (changed) => {
            later.length = 0
            return work(sabotage.changes?.(changed, (...each) => void later.push(each)) ?? changed)
          },
          { durable: false },
        )
        for (const each of later) execute(...each)
        return outcome
      })
    },
  }

  /**
   * Only a push that waits for a deletion asks this, and asks again after a while of real time. Here it is asked again
   * when the answer may be another one, so no schedule depends on how fast the machine is.
   */
  async function untilPardoned(digest: string): Promise<unknown> {
    for (let asksAgain = false; ; asksAgain = true) {
      const found = await step({ what: 'reads collection.find', asksAgain }, () =>
        reads.collection.find(digest as never),
      )
      if (found?.condemnedUntil === undefined || clock() > found.condemnedUntil) return found
    }
  }
}

/** As those of a process, but without patience: no timer of a schedule that crashed may outlive it. */
export function createPatientLocks(): Locks {
  const holders = new Map<string, Promise<void>>()
  return {
    async hold(name, { when }, work) {
      for (let held = holders.get(name); held; held = holders.get(name)) {
        if (when === 'give up') throw new LockBusy(name)
        await held
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      holders.set(name, promise)
      try {
        return await work(new AbortController().signal)
      } finally {
        holders.delete(name)
        resolve()
      }
    },
    isHeld: async (name) => holders.has(name),
  }
}

function withCalls(queries: FactQueries, wrap: (group: string, name: string, call: Call) => Call): FactQueries {
  const groups = Object.entries(queries as unknown as Record<string, Group>).map(([group, calls]) => [
    group,
    Object.fromEntries(Object.entries(calls).map(([name, call]) => [name, wrap(group, name, call)])),
  ])
  return Object.fromEntries(groups) as unknown as FactQueries
}

const short = (key: string): string =>
  key.replace('docker/registry/v2/', '').replace(/([0-9a-f]{6})[0-9a-f]{30,}/g, '$1')
