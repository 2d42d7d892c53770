/** Workers are started, replaced and ended. The first one starts alone: what it cannot do, no other could. */
import cluster, { type Worker } from 'node:cluster'
import { getCompileCacheDir } from 'node:module'
import { dirname, join } from 'node:path'
import { StartRefused } from '../../oci/failure.ts'
import type { Settings } from '../config/settings.ts'
import { fatalExit } from '../ending.ts'
import type { Logger } from '../log.ts'
import { isOfLife, type ToWorker } from './messages.ts'

/** A worker that ends earlier than that after its start has not really served. */
const soonMs = 1000
const mostInARow = 10
const shortestPauseMs = 200
const longestPauseMs = 5000
/** Beyond the time that requests have to finish. */
const lastMs = 5000

export interface FleetParts {
  readonly count: number
  readonly settings: Settings
  readonly log: Logger
  /** `worker` is heard until the function it returns is called. */
  readonly serve: (worker: Worker) => () => void
  /** One has died and is not heard any more. */
  readonly onGone: () => void
  /** Nothing can be promised any more. */
  readonly onFatal: () => void
  /** None serves, and none can be started. */
  readonly onHopeless: () => void
}

export interface Fleet {
  readonly serving: number
  /** Resolves with the address as soon as one serves; fails where the first one cannot. */
  start(): Promise<string>
  /** Lets requests under way finish, and ends all. */
  stop(): Promise<void>
}

class WorkerEnded extends Error {}

interface Ended {
  readonly number: number
  readonly code: number | null
  readonly signal: string | null
  /** Nothing where it never served. */
  readonly servedMs: number | undefined
}

export function createFleet(parts: FleetParts): Fleet {
  const { count, settings, log } = parts
  const alive = new Map<Worker, Promise<unknown>>()
  const serving = new Set<Worker>()
  const pauses = new Set<NodeJS.Timeout>()
  let inARow = 0
  let isStarted = false
  let isStopping = false

  function launch(number: number): Promise<string> {
    const worker = cluster.fork()
    const stopServing = parts.serve(worker)
    const ended = Promise.withResolvers<void>()
    const started = Promise.withResolvers<string>()
    let since: number | undefined
    alive.set(worker, ended.promise)
    attend(worker, settings, number, {
      serving(url) {
        since = performance.now()
        serving.add(worker)
        started.resolve(url)
      },
      failed: started.reject,
    })
    worker.once('exit', (code: number | null, signal: string | null) => {
      alive.delete(worker)
      serving.delete(worker)
      stopServing()
      ended.resolve()
      started.reject(new WorkerEnded(`a worker ended before it served (${signal ?? code})`))
      onEnd({ number, code, signal, servedMs: since && performance.now() - since })
    })
    return started.promise
  }

  function onEnd({ number, code, signal, servedMs }: Ended): void {
    if (code === fatalExit) parts.onFatal()
    if (!isStarted || isStopping) return
    const isSoon = servedMs === undefined || servedMs < soonMs
    inARow = isSoon ? inARow + 1 : 0
    log.error({ worker: number, ...(signal ? { signal } : { code }) }, 'a worker has ended: another takes its place')
    parts.onGone()
    if (serving.size === 0 && inARow >= mostInARow) {
      parts.onHopeless()
      return
    }
    const pauseMs = isSoon ? Math.min(longestPauseMs, shortestPauseMs * 2 ** (inARow - 1)) : 0
    const pause = setTimeout(() => {
      pauses.delete(pause)
      follow(number)
    }, pauseMs)
    pauses.add(pause)
  }

  function follow(number: number): void {
    launch(number).catch((error: Error) => {
      // Its end is told for itself.
      if (!isStopping && !(error instanceof WorkerEnded))
        log.error({ worker: number, reason: error.message }, 'a worker cannot start: it is tried again')
    })
  }

  return {
    get serving() {
      return serving.size
    },
    async start() {
      prepare()
      const url = await launch(1)
      isStarted = true
      for (let number = 2; number <= count; number++) follow(number)
      return url
    },
    async stop() {
      isStopping = true
      for (const pause of pauses) clearTimeout(pause)
      for (const worker of alive.keys()) tell(worker, { kind: 'stop' })
      const deadline = setTimeout(() => {
        for (const worker of alive.keys()) worker.process.kill('SIGKILL')
      }, settings.http.drainTimeoutMs + lastMs)
      await Promise.all(alive.values())
      clearTimeout(deadline)
    },
  }
}

/** The same program as this one, where it begins as a worker. */
function prepare(): void {
  const file = import.meta.filename.endsWith('.ts') ? 'start.ts' : 'start.js'
  const cache = getCompileCacheDir()
  // Workers accept for themselves. Handed over one after the other, a connection is lost for ever where its worker dies
  // before it has taken it: its client would wait for an answer that nobody gives.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({
    exec: join(import.meta.dirname, file),
    args: cache === undefined ? [] : [dirname(cache)],
    // Some versions announce that `node:sqlite` is experimental, and the parent has kept that to itself.
    execArgv: [...process.execArgv, '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

interface Attention {
  serving(url: string): void
  failed(error: Error): void
}

function attend(worker: Worker, settings: Settings, number: number, { serving, failed }: Attention): void {
  // Of a line that broke: the end of the worker is told for itself.
  worker.on('error', () => {})
  worker.on('message', (message: unknown) => {
    if (!isOfLife(message)) return
    switch (message.kind) {
      case 'here':
        return tell(worker, { kind: 'start', settings, number })
      case 'joined':
        return tell(worker, { kind: 'go' })
      case 'serving':
        return serving(message.url)
      case 'failed':
        return failed(message.isOperators ? new StartRefused(message.reason) : new Error(message.reason))
    }
  })
}

function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message)
}
