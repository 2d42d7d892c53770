/** A parent and workers within one process: what they say goes through copies, later, as between processes. */
import type { Channel, FromParent, FromWorker } from '../../coordination/workers/messages.ts'
import { createParent, type Parent, type Turns } from '../../coordination/workers/parent.ts'
import { createWorkerCoordination, type WorkerCoordination } from '../../coordination/workers/worker.ts'
import { createSettleTurns } from '../../registry/settle-turns.ts'
import type { Nodes } from '../contracts/coordination-tools.ts'

export interface TestWorker extends WorkerCoordination {
  /** As a process that is killed: it is not heard any more, and its parent is told so. */
  kill(): void
}

export interface Family {
  readonly parent: Parent
  readonly turns: ReturnType<typeof createSettleTurns>
  start(): TestWorker
}

export function openFamily(): Family {
  const parent = createParent()
  const turns = createSettleTurns(parent.coordination.locks)
  return { parent, turns, start: () => startWorker(parent, turns as Turns) }
}

function startWorker(parent: Parent, turns: Turns): TestWorker {
  const line = openLine()
  const dies = parent.serve(line.parent, turns)
  return {
    ...createWorkerCoordination(line.worker),
    kill() {
      line.cut()
      dies()
    },
  }
}

function openLine() {
  const heardByParent = new Set<(message: FromWorker) => void>()
  const heardByWorker = new Set<(message: FromParent) => void>()
  let isCut = false
  const end = <Out, In>(theirs: Set<(message: Out) => void>, ours: Set<(message: In) => void>): Channel<Out, In> => ({
    send(message) {
      const copy = structuredClone(message)
      setImmediate(() => {
        if (!isCut) for (const heard of theirs) heard(copy)
      })
      return !isCut
    },
    listen(heard) {
      ours.add(heard)
      return () => ours.delete(heard)
    },
  })
  return {
    parent: end<FromParent, FromWorker>(heardByWorker, heardByParent),
    worker: end<FromWorker, FromParent>(heardByParent, heardByWorker),
    cut: () => {
      isCut = true
    },
  }
}

export async function openNodes(): Promise<Nodes> {
  const { parent, start } = openFamily()
  return [parent.coordination, start().coordination, start().coordination]
}
