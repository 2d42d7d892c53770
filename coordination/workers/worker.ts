/**
 * A worker's side: whatever must be one at a time among processes is asked of the parent. A worker whose parent is gone
 * must end at once, for what it holds is held no more.
 */
import type { Coordination } from '../coordination.ts'
import { createLocalNotices } from '../local/notices.ts'
import { createLocalSingleFlight } from '../local/single-flight.ts'
import { LockBusy, type Locks } from '../locks.ts'
import type { Flight } from '../single-flight.ts'
import type { FromParent, FromWorker, WorkerChannel } from './messages.ts'

/** More is never under way at once, or something is wrong. */
const mostAsked = 50_000

export interface GrantedTurn {
  readonly settled: number | undefined
  /** Nobody else has had a turn since. */
  readonly requestedAt: number
}

export interface WorkerCoordination {
  readonly coordination: Coordination
  /** `work` says which version it settled, if any. The parent remembers that before anybody else has a turn. */
  takeTurn(key: string, work: (turn: GrantedTurn) => Promise<number | undefined>): Promise<void>
}

export function createWorkerCoordination(
  channel: WorkerChannel,
  onError?: (error: unknown) => void,
): WorkerCoordination {
  const notices = createLocalNotices(onError)
  const desk = createDesk(channel)
  const stop = channel.listen((message) => {
    if (message.kind === 'tell') notices.tell(message.topic, message.text)
    else desk.hear(message)
  })
  return {
    coordination: {
      locks: createLocks(desk),
      notices: {
        listen: notices.listen,
        tell(topic, text) {
          notices.tell(topic, text)
          channel.send({ kind: 'tell', topic, text })
        },
      },
      counters: {
        async add(name, by, windowMs) {
          const { reply } = desk.ask(name, (id) => ({ kind: 'add', id, name, by, windowMs }))
          return (await answerTo(reply)) as number
        },
      },
      singleFlight: createFlights(desk),
      isReachable: () => true,
      close: async () => stop(),
    },
    async takeTurn(key, work) {
      const requestedAt = performance.now()
      const { id, reply } = desk.ask(key, (number) => ({ kind: 'turn', id: number, key }))
      const { settled } = (await reply) as Extract<FromParent, { kind: 'granted' }>
      let version: number | undefined
      try {
        version = await work({ settled, requestedAt })
      } finally {
        desk.endTurn(id, version)
      }
    },
  }
}

type Desk = ReturnType<typeof createDesk>
type Reply = Exclude<FromParent, { kind: 'tell' | 'asked' | 'refused' }>

interface Waiting {
  readonly name: string
  /** What the parent says next. */
  reply: PromiseWithResolvers<Reply>
  readonly asked: AbortController
}

/** What was asked of the parent and is not over. */
function createDesk(channel: WorkerChannel) {
  const underWay = new Map<number, Waiting>()
  let last = 0

  function settle(id: number, waiting: Waiting, message: Exclude<FromParent, { kind: 'tell' | 'asked' }>): void {
    if (message.kind !== 'granted') underWay.delete(id)
    if (message.kind !== 'refused') waiting.reply.resolve(message)
    else waiting.reply.reject(message.reason === undefined ? new LockBusy(waiting.name) : new Error(message.reason))
  }

  return {
    ask(name: string, message: (id: number) => FromWorker): { id: number; reply: Promise<Reply>; asked: AbortSignal } {
      const id = ++last
      const waiting = { name, reply: Promise.withResolvers<Reply>(), asked: new AbortController() }
      if (underWay.size < mostAsked && channel.send(message(id))) underWay.set(id, waiting)
      else waiting.reply.reject(new LockBusy(name))
      return { id, reply: waiting.reply.promise, asked: waiting.asked.signal }
    },
    /** Resolves when others can have it: whoever hears that this is through must find it so. */
    async leave(id: number, how: { readonly failed?: boolean } = {}): Promise<void> {
      const waiting = underWay.get(id)
      if (!waiting) return
      waiting.reply = Promise.withResolvers()
      if (channel.send({ kind: 'left', id, ...how })) await waiting.reply.promise
      else underWay.delete(id)
    },
    /** Nobody waits for this: the next turn comes after it. */
    endTurn(id: number, version: number | undefined): void {
      underWay.delete(id)
      channel.send({ kind: 'left', id, ...(version !== undefined && { settled: version }) })
    },
    hear(message: Exclude<FromParent, { kind: 'tell' }>): void {
      const waiting = underWay.get(message.id)
      if (!waiting) return
      if (message.kind === 'asked') waiting.asked.abort()
      else settle(message.id, waiting, message)
    },
  }
}

async function answerTo(reply: Promise<Reply>): Promise<number | boolean | string> {
  const answer = await reply
  if (answer.kind !== 'answer') throw new Error(`the parent answered a question with ${answer.kind}`)
  return answer.value
}

function createLocks(desk: Desk): Locks {
  return {
    async hold(name, { fenced: _, ...taking }, work) {
      const { id, reply, asked } = desk.ask(name, (number) => ({ kind: 'hold', id: number, name, taking }))
      await reply
      try {
        return await work(asked)
      } finally {
        await desk.leave(id)
      }
    },
    async isHeld(name) {
      return (await answerTo(desk.ask(name, (id) => ({ kind: 'isHeld', id, name })).reply)) as boolean
    },
  }
}

function createFlights(desk: Desk) {
  return createLocalSingleFlight(async <T>(name: string, work: () => Promise<T>, patienceMs: number) => {
    const { id, reply } = desk.ask(name, (number) => ({ kind: 'fly', id: number, name, patienceMs }))
    const answer = await reply
    if (answer.kind === 'answer') return { outcome: answer.value } as Flight<T>
    let failed = true
    try {
      const value = await work()
      failed = false
      return { outcome: 'ran', value } as const
    } finally {
      await desk.leave(id, { failed })
    }
  })
}
