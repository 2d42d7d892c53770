/** A driver whose n-th call fails, as disks do: before it did anything, or after it did everything. */
import type { ObjectKey, Stage, StorageDriver, WriteOptions } from '../../storage/driver.ts'

export type Fault =
  /** One call is refused. */
  | 'refused'
  /** One call does its work and then fails, as an fsync that comes after a rename. */
  | 'done and failed'
  /** From this call on nothing reaches storage: the process is as good as dead. */
  | 'dead'

export interface FaultyDriver {
  readonly driver: StorageDriver
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

  const driver: StorageDriver = {
    name: inner.name,
    stat: (key) => through('stat', () => inner.stat(key)),
    open: (key) => through('open', () => inner.open(key)),
    write: (key: ObjectKey, content: Uint8Array, options?: WriteOptions) =>
      through('write', () => inner.write(key, content, options)),
    delete: (key, options) => through('delete', () => inner.delete(key, options)),
    list: (prefix) => inner.list(prefix),
    flush: (keys) => through('flush', () => inner.flush(keys)),
    begin: (key) => through('begin', () => inner.begin(key)),
    append: (stage, bytes, observe) => through('append', () => inner.append(stage, bytes, observe)),
    inspect: (stage) => through('inspect', () => inner.inspect(stage)),
    reread: (stage: Stage, observe) => through('reread', () => inner.reread(stage, observe)),
    harden: (stage) => through('harden', () => inner.harden(stage)),
    seal: (stage, key) => through('seal', () => inner.seal(stage, key)),
    discard: (stage) => through('discard', () => inner.discard(stage)),
    sweep: () => inner.sweep(),
    probe: () => inner.probe(),
    close: () => inner.close(),
  }
  function reset(next: typeof armed): void {
    armed = next
    struck = false
    calls = []
  }
  return {
    driver,
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
