/** Whom a command asks: the server that has the store open; where there is none, the command opens it itself. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { socketPathIn } from '../server/compose/control-socket.ts'
import { shownRootOf } from '../server/compose/driver.ts'
import type { Store } from '../server/compose/store.ts'
import { loadSettings } from '../server/config/load.ts'
import type { Settings } from '../server/config/settings.ts'
import type { Operations } from '../upkeep/operations.ts'
import { createControlClient, isListening } from './control-client.ts'
import { CommandFailure } from './failure.ts'
import { createProgress, type ShownProgress } from './progress.ts'

export interface Asking {
  readonly operations: Operations
  /** Whether a server answers. */
  readonly isServed: boolean
  readonly progress: ShownProgress
  /** Fires when somebody interrupts the command. */
  readonly signal: AbortSignal
}

export interface StoreWanted {
  readonly config?: string | undefined
  /** Whether SQL must be the truth of everything: what only storage knows is read first. */
  readonly adopted: boolean
  readonly quiet?: boolean | undefined
}

/** A server that starts has the lock before it listens. */
const patienceMs = 10_000
const retryMs = 200

export function useStore<T>(wanted: StoreWanted, work: (asking: Asking) => Promise<T>): Promise<T> {
  const settings = settingsFor(wanted.config)
  const root = placeOf(settings)
  return interruptible(createProgress(wanted.quiet), (running) => {
    const alone = () =>
      withOwnStore(settings, async (store) => {
        if (wanted.adopted) await adoptStore(store, running.progress, running.signal)
        return work({ ...running, operations: store.operations, isServed: false })
      })
    if (root === undefined) return alone()
    return askServer(root, (operations) => work({ ...running, operations, isServed: true }), alone)
  })
}

function settingsFor(config: string | undefined): Settings {
  return loadSettings({ env: process.env, file: config }).settings
}

/** The folder of this machine where a server would be found; nothing where a command is a node like any other. */
function placeOf(settings: Settings): string | undefined {
  const { driver } = settings.storage
  if (driver.name === 'inmemory') {
    throw new CommandFailure('the store is in the memory of its server (storage.inmemory): no command can reach it')
  }
  if (driver.name === 'filesystem' && !storeIn(driver.root)) {
    throw new CommandFailure(`there is no store in ${driver.root}: see storage.filesystem.rootdirectory`)
  }
  return shownRootOf(settings)
}

function storeIn(root: string): boolean {
  return ['berth/store.json', 'docker/registry/v2'].some((path) => existsSync(join(root, path)))
}

async function askServer<T>(
  root: string,
  ask: (operations: Operations) => Promise<T>,
  alone: () => Promise<T>,
): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const socket = socketOf(root)
    try {
      if (socket && (await isListening(socket.path))) return await ask(createControlClient(socket.path))
    } finally {
      socket?.close()
    }
    try {
      return await alone()
    } catch (error) {
      if (!isInUse(error)) throw error
      if (Date.now() > deadline) {
        throw new CommandFailure(`a server has ${root} open, but takes no orders: it is starting, stopping or stuck`)
      }
    }
    await sleep(retryMs)
  }
}

/** A volume of another registry has no folder for it. */
function socketOf(root: string) {
  return existsSync(join(root, 'berth')) ? socketPathIn(root) : undefined
}

const isInUse = (error: unknown): boolean => error instanceof Error && error.constructor.name === 'RootInUse'

type Commands = typeof import('../server/compose/command.ts')

/** Opens the store without a server, for as long as `work` takes. */
async function withOwnStore<T>(
  settings: Settings,
  work: (store: Store, commands: Commands) => Promise<T>,
  taking: { readonly adopt?: boolean; readonly alone?: boolean } = {},
): Promise<T> {
  // Only here: nobody who asks a server needs to wait for all of it.
  const commands = await import('../server/compose/command.ts')
  const store = await commands.openForCommand(settings, taking)
  try {
    return await work(store, commands)
  } finally {
    await store.close()
  }
}

export interface OwnStore {
  readonly store: Store
  readonly commands: Commands
  readonly progress: ShownProgress
  readonly signal: AbortSignal
}

export interface OwnStoreWanted {
  readonly config?: string
  readonly adopt?: boolean
  /** The command, to name it. */
  readonly what: string
}

/** For what cannot be done while a server has the store open. */
export async function useOwnStore<T>(
  { config, adopt = false, what }: OwnStoreWanted,
  work: (own: OwnStore) => Promise<T>,
): Promise<T> {
  const settings = settingsFor(config)
  const root = placeOf(settings) ?? 'the store'
  const taking = { adopt, alone: true }
  return interruptible(createProgress(), async ({ progress, signal }) => {
    try {
      return await withOwnStore(settings, (store, commands) => work({ store, commands, progress, signal }), taking)
    } catch (error) {
      if (!isInUse(error)) throw error
      throw new CommandFailure(`${root} is being served: stop that server first, because ${what} needs the store alone`)
    }
  })
}

async function interruptible<T>(
  progress: ShownProgress,
  work: (running: Pick<Asking, 'progress' | 'signal'>) => Promise<T>,
): Promise<T> {
  const interrupted = new AbortController()
  const onInterrupt = (): void => interrupted.abort(new CommandFailure('interrupted', 130))
  const names = ['SIGINT', 'SIGTERM'] as const
  for (const name of names) process.once(name, onInterrupt)
  try {
    return await work({ progress, signal: interrupted.signal })
  } finally {
    progress.end()
    for (const name of names) process.off(name, onInterrupt)
  }
}

/** What only storage knows, or knows better, is read first. */
export async function adoptStore(store: Store, progress: ShownProgress, signal: AbortSignal): Promise<void> {
  const { phase, reason } = store.adopter.status()
  if (phase !== 'done') progress.say(`reading the volume: ${reason ?? 'its database does not know all of it yet'}`)
  await store.catchUp.run(signal, progress.tell)
  progress.end()
  signal.throwIfAborted()
}
