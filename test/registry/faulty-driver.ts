/**
 * A driver whose n-th call fails, as disks do: before it did anything, or after it did everything. Transactions can be
 * counted among the calls.
 */
import type { Facts } from '../../metadata/facts.ts'
import type { ObjectKey, OpenObject, Stage, StorageDriver, WriteOptions } from '../../storage/driver.ts'

export type Fault =
  /** One call is refused. */
  | 'refused'
  /** One call does its work and then fails, as an fsync that comes after a rename. */
  | 'done and failed'
  /** From this call on nothing reaches storage: the process is as good as dead. */
  | 'dead'

export interface FaultyDriver {
  readonly driver: StorageDriver
  /** The same facts; each transaction counts as a call from now on. */
  facts(inner: Facts): Facts
  /** Another driver whose calls count with those of this one. */
  also(inner: StorageDriver): StorageDriver
  /** Fails the `n`-th call from now, counted from 1. */
  arm(n: number, fault: Fault, code: string): void
  disarm(): void
  /** Whether an armed fault was reached. */
  readonly struck: boolean
  /** Calls since the last `arm` or `disarm`, in order. */
  readonly calls: readonly string[]
}

export function faultyDriver(inner: StorageDriver): FaultyDriver {
  let armed: { readonly n: number; readonly fault: Fault; readonly code: string } | undefined
  let struck = false
  let calls: string[] = []

  async function through<T>(call: string, work: () => Promise<T>): Promise<T> {
    calls.push(call)
    const fault = armed && (calls.length === armed.n || (armed.fault === 'dead' && calls.length > armed.n))
    if (!armed || !fault) return work()
    struck = true
    const error = Object.assign(new Error(`${armed.code}: ${call} failed on purpose`), { code: armed.code })
    if (armed.fault === 'done and failed') await work()
    throw error
  }

  /** What is read of an opened object can fail as well. */
  const reading = (object: OpenObject | undefined): OpenObject | undefined =>
    object && {
      size: object.size,
      send: (sink, range) => through('send', () => object.send(sink, range)),
      read: () => through('read', () => object.read()),
      close: () => object.close(),
    }

  const faulty = (inner: StorageDriver): StorageDriver => ({
    name: inner.name,
    reach: inner.reach,
    stat: (key) => through('stat', () => inner.stat(key)),
    open: (key) => through('open', async () => reading(await inner.open(key))),
    write(key: ObjectKey, content: Uint8Array, options?: WriteOptions) {
      // As drivers do: where writing fails first, nobody waits for it any more.
      options?.after?.catch(() => {})
      return through('write', () => inner.write(key, content, options))
    },
    delete: (key, options) => through('delete', () => inner.delete(key, options)),
    async *list(prefix) {
      yield* await through('list', async () => inner.list(prefix))
    },
    async *children(prefix) {
      yield* await through('children', async () => inner.children(prefix))
    },
    flush: (keys) => through('flush', () => inner.flush(keys)),
    space: () => through('space', () => inner.space()),
    place: () => inner.place(),
    begin: (key) => through('begin', () => inner.begin(key)),
    append: (stage, bytes, observe, arrival) => through('append', () => inner.append(stage, bytes, observe, arrival)),
    inspect: (stage) => through('inspect', () => inner.inspect(stage)),
    reread: (stage: Stage, observe) => through('reread', () => inner.reread(stage, observe)),
    harden: (stage) => through('harden', () => inner.harden(stage)),
    seal: (stage, key) => through('seal', () => inner.seal(stage, key)),
    discard: (stage) => through('discard', () => inner.discard(stage)),
    async *staged(prefix) {
      yield* await through('staged', async () => inner.staged(prefix))
    },
    sweep: () => inner.sweep(),
    probe: () => inner.probe(),
    close: () => inner.close(),
  })

  function reset(next: typeof armed): void {
    armed = next
    struck = false
    calls = []
  }
  return {
    driver: faulty(inner),
    also: faulty,
    facts: (facts) => ({
      ...facts,
      write: (work, options) => through('transaction', () => facts.write(work, options)),
    }),
    arm: (n, fault, code) => reset({ n, fault, code }),
    disarm: () => reset(undefined),
    get struck() {
      return struck
    },
    get calls() {
      return calls
    },
  }
}
