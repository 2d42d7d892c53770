/**
 * The parent's side: it does in its own coordination what a worker asks for, and keeps it up until the worker is through
 * or dead.
 */
import type { Coordination } from '../coordination.ts'
import { createInProcessCoordination } from '../in-process.ts'
import { createLocalSingleFlight, type Lead } from '../local/single-flight.ts'
import { LockBusy } from '../locks.ts'
import type { FromWorker, ParentChannel, Tell } from './messages.ts'

/** Who settles a key, and what is known of it; `undefined` where nothing was settled. */
export interface Turns {
  take(
    key: string,
    work: (turn: { readonly settled: number | undefined }) => Promise<number | undefined>,
  ): Promise<void>
}

export interface Parent {
  /** For the parent's own use. */
  readonly coordination: Coordination
  /** Answers a worker until the function it returns is called, because the worker is dead. */
  serve(channel: ParentChannel, turns: Turns): () => void
}

/** Its worker is dead: nobody knows how far it had come. */
class WorkerGone extends Error {}

/** `shared`: how this process hears of other nodes; then its workers do, too, without it. */
export function createParent(shared?: Coordination, onError?: (error: unknown) => void): Parent {
  const channels = new Set<ParentChannel>()
  const own = createInProcessCoordination(onError)
  const relay = ({ topic, text }: Omit<Tell, 'kind'>, from?: ParentChannel) => {
    for (const channel of channels) if (channel !== from) channel.send({ kind: 'tell', topic, text })
  }
  const coordination: Coordination = shared ?? {
    ...own,
    singleFlight: createLocalSingleFlight(leadUnlessGone),
    notices: {
      listen: own.notices.listen,
      tell(topic, text) {
        own.notices.tell(topic, text)
        relay({ topic, text })
      },
    },
  }
  return {
    coordination,
    serve(channel, turns) {
      channels.add(channel)
      const desk = createDesk(channel, coordination, turns)
      const stop = channel.listen((message) => {
        if (message.kind !== 'tell') return desk.take(message)
        own.notices.tell(message.topic, message.text)
        relay(message, channel)
      })
      return () => {
        channels.delete(channel)
        stop()
        desk.close()
      }
    },
  }
}

/** What was led by a worker that died was not done: the next one who waits for it leads. */
const leadUnlessGone: Lead = async (_name, work) => {
  try {
    return { outcome: 'ran', value: await work() }
  } catch (error) {
    if (error instanceof WorkerGone) return { outcome: 'still running' }
    throw error
  }
}

type Asked = Exclude<FromWorker, { kind: 'tell' }>
type Left = Extract<FromWorker, { kind: 'left' }>

/** What one worker has asked for. */
function createDesk(channel: ParentChannel, coordination: Coordination, turns: Turns) {
  const underWay = new Map<number, PromiseWithResolvers<Left>>()
  let isClosed = false

  /** Tells the worker that it may, and waits until it is through. */
  async function grant(id: number, settled?: number): Promise<Left> {
    if (isClosed) throw new WorkerGone()
    const through = Promise.withResolvers<Left>()
    underWay.set(id, through)
    channel.send({ kind: 'granted', id, ...(settled !== undefined && { settled }) })
    return through.promise
  }

  async function hold({ id, name, taking }: Extract<Asked, { kind: 'hold' }>): Promise<void> {
    await coordination.locks.hold(name, taking, async (asked) => {
      const through = grant(id)
      const tell = () => channel.send({ kind: 'asked', id })
      if (asked.aborted) tell()
      else asked.addEventListener('abort', tell, { once: true })
      await through.finally(() => asked.removeEventListener('abort', tell))
    })
    channel.send({ kind: 'answer', id, value: true })
  }

  async function fly({ id, name, patienceMs }: Extract<Asked, { kind: 'fly' }>): Promise<void> {
    const land = async () => {
      if ((await grant(id)).failed) throw new Error('the flight of a worker failed')
    }
    const { outcome } = await coordination.singleFlight.once(name, land, patienceMs).catch((error: unknown) => {
      // It knows by itself how its own flight ended.
      if (error instanceof WorkerGone) throw error
      return { outcome: 'ran' }
    })
    channel.send({ kind: 'answer', id, value: outcome })
  }

  function act(message: Asked): Promise<unknown> | undefined {
    const { id } = message
    const answer = (value: number | boolean) => channel.send({ kind: 'answer', id, value })
    switch (message.kind) {
      case 'hold':
        return hold(message)
      case 'turn':
        return turns.take(message.key, async ({ settled }) => (await grant(id, settled)).settled)
      case 'fly':
        return fly(message)
      case 'isHeld':
        return coordination.locks.isHeld(message.name).then(answer)
      case 'add':
        return coordination.counters.add(message.name, message.by, message.windowMs).then(answer)
      case 'left': {
        underWay.get(id)?.resolve(message)
        underWay.delete(id)
        return undefined
      }
    }
  }

  return {
    take(message: Asked): void {
      act(message)?.catch((error: unknown) => {
        if (isClosed) return
        const reason = error instanceof LockBusy ? {} : { reason: String(error) }
        channel.send({ kind: 'refused', id: message.id, ...reason })
      })
    },
    close(): void {
      isClosed = true
      for (const { reject } of underWay.values()) reject(new WorkerGone())
      underWay.clear()
    },
  }
}
