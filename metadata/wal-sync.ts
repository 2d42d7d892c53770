/**
 * Durable commits without blocking the event loop: SQLite commits to its write-ahead log with `synchronous=NORMAL`, and
 * before a commit is acknowledged one `fdatasync` of that log, begun after the commit returned, makes it as durable as
 * `FULL` would. All commits that wait share the next one.
 *
 * ```
 * commit a ─┐                  commit b, c ─┐
 *           └─ fdatasync 1 ──────────┤      └─ (wait) ── fdatasync 2 ── b and c are durable
 *                                    └ a is durable
 * ```
 */
import fs from 'node:fs'

export interface WalSync {
  /** Resolves when everything committed before the call is durable. Rejects once a sync has failed. */
  wait(): Promise<void>
  /** Ends what is under way first: a descriptor must not be closed below a sync. */
  close(): Promise<void>
}

export function openWalSync(path: string, onError: (error: Error) => void): WalSync {
  // Only the log: closing any descriptor of the database file itself would drop SQLite's locks.
  const fd = fs.openSync(path, 'r')
  let waiting: PromiseWithResolvers<void> | undefined
  /** Set while syncs are under way. */
  let busy: PromiseWithResolvers<void> | undefined
  let failed: Error | undefined

  /** After a failed sync the kernel may have dropped the pages: nothing can be promised any more. */
  function fail(turn: PromiseWithResolvers<void>, error: Error): void {
    failed = error
    turn.reject(error)
    waiting?.reject(error)
    waiting = undefined
    onError(error)
  }

  function run(): void {
    const turn = waiting
    waiting = undefined
    if (!turn) {
      busy?.resolve()
      busy = undefined
      return
    }
    fs.fdatasync(fd, (error) => {
      if (error) fail(turn, error)
      else turn.resolve()
      run()
    })
  }

  return {
    wait() {
      if (failed) return Promise.reject(failed)
      waiting ??= Promise.withResolvers<void>()
      const { promise } = waiting
      if (!busy) {
        busy = Promise.withResolvers<void>()
        run()
      }
      return promise
    },
    async close() {
      await busy?.promise
      fs.closeSync(fd)
    },
  }
}
