/**
 * bcrypt in threads of our own. On the event loop one comparison would stop every request for 70 ms and more; on libuv's
 * thread pool a flood of logins would stand in front of every file that storage reads.
 */
import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Failure } from '../oci/failure.ts'
import type { BcryptCheck } from './bcrypt-worker.ts'

export interface BcryptPool {
  /**
   * Whether the password has this hash. Fails with `too-many-requests` when too many wait already; an `urgent` check
   * goes before the others and is never turned away.
   */
  check(password: string, hash: string, urgent?: boolean): Promise<boolean>
  /** Ends the threads; what still waits fails with `draining`. */
  close(): Promise<void>
}

interface Pending {
  readonly check: BcryptCheck
  readonly answer: PromiseWithResolvers<boolean>
}

/** Sources run as `.ts`, packages carry emitted `.js`: the worker lies beside this file under the same ending. */
const workerFile = new URL(`./bcrypt-worker${extname(import.meta.url)}`, import.meta.url)

/** One core stays free for the event loop, and logins need no more than two. */
const defaultWorkers = Math.max(1, Math.min(2, availableParallelism() - 1))

export function createBcryptPool(workers = defaultWorkers, longestQueue = 32): BcryptPool {
  const threads = new Set<Thread>()
  const queue: Pending[] = []
  let closed = false
  let typicalMs = 100

  function dispatch(): void {
    while (queue.length > 0) {
      const thread = threads.values().find(({ busy }) => !busy) ?? (threads.size < workers ? hire() : undefined)
      const pending = thread && queue.shift()
      if (!pending) return
      void serve(thread, pending)
    }
  }

  function hire(): Thread {
    const thread = startThread(() => threads.delete(thread))
    threads.add(thread)
    return thread
  }

  async function serve(thread: Thread, { check, answer }: Pending): Promise<void> {
    const startedAt = performance.now()
    try {
      answer.resolve(await thread.run(check))
    } catch (error) {
      answer.reject(closed ? new Failure('draining', {}) : error)
    }
    typicalMs = (typicalMs * 3 + performance.now() - startedAt) / 4
    dispatch()
  }

  async function check(password: string, hash: string, urgent = false): Promise<boolean> {
    if (closed) throw new Failure('draining', {})
    if (!urgent && queue.length >= longestQueue) {
      const waitMs = (queue.length * typicalMs) / workers
      throw new Failure('too-many-requests', { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) })
    }
    const pending: Pending = { check: { password, hash }, answer: Promise.withResolvers() }
    if (urgent) queue.unshift(pending)
    else queue.push(pending)
    dispatch()
    return pending.answer.promise
  }

  async function close(): Promise<void> {
    closed = true
    for (const { answer } of queue.splice(0)) answer.reject(new Failure('draining', {}))
    await Promise.all(Array.from(threads, (thread) => thread.end()))
  }

  return { check, close }
}

interface Thread {
  readonly busy: boolean
  /** One check at a time. */
  run(check: BcryptCheck): Promise<boolean>
  end(): Promise<unknown>
}

function startThread(onEnd: () => void): Thread {
  const worker = new Worker(workerFile, { name: 'bcrypt' })
  let answer: PromiseWithResolvers<boolean> | undefined

  function fail(error: Error): void {
    onEnd()
    answer?.reject(error)
  }
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('the thread that checks passwords has ended')))
  worker.on('message', (matches: boolean) => {
    // An idle thread must not keep the process alive.
    worker.unref()
    answer?.resolve(matches)
    answer = undefined
  })

  return {
    get busy() {
      return answer !== undefined
    },
    run(check) {
      answer = Promise.withResolvers()
      worker.ref()
      worker.postMessage(check)
      return answer.promise
    },
    end: () => worker.terminate(),
  }
}
