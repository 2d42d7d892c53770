/** Those who wait for one thing each, first come, first served, and no longer than they said. */
export interface Waiting<T> {
  readonly size: number
  /** Until `deadline` (`Date.now()`), and then what `late` says. */
  wait(deadline: number, late: () => Error): Promise<T>
  /** To whoever waits longest; false where nobody does. */
  give(thing: T): boolean
  refuseAll(error: Error): void
}

interface Waiter<T> {
  readonly resolve: (thing: T) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

export function createWaiting<T>(): Waiting<T> {
  const waiters = new Set<Waiter<T>>()

  function leave(waiter: Waiter<T>): void {
    clearTimeout(waiter.timer)
    waiters.delete(waiter)
  }

  return {
    get size() {
      return waiters.size
    },
    wait: (deadline, late) =>
      new Promise<T>((resolve, reject) => {
        const timer = setTimeout(
          () => {
            leave(waiter)
            reject(late())
          },
          Math.max(0, deadline - Date.now()),
        )
        const waiter: Waiter<T> = { resolve, reject, timer }
        waiters.add(waiter)
      }),
    give(thing) {
      const [waiter] = waiters
      if (!waiter) return false
      leave(waiter)
      waiter.resolve(thing)
      return true
    },
    refuseAll(error) {
      for (const waiter of [...waiters]) {
        leave(waiter)
        waiter.reject(error)
      }
    },
  }
}
