/**
 * The architecture on one screen: a store, the registry that it makes, the application that serves it, and what happens
 * beside it. `compose/store.ts` picks the store's concrete parts.
 */
import { type AccessController, openAccess } from '../auth/access.ts'
import { type End, openChannel } from '../coordination/workers/channel.ts'
import { isFromParent, isFromWorker } from '../coordination/workers/messages.ts'
import { createRegistry } from '../registry/local.ts'
import type { LocalParts } from '../registry/local-parts.ts'
import { withSpace } from '../registry/with-space.ts'
import { createApp } from './app.ts'
import { clientAddressFrom, peersFrom } from './client-address.ts'
import { startBackground } from './compose/background.ts'
import { socketPathIn } from './compose/control-socket.ts'
import { openStore, type Store, type Surroundings } from './compose/store.ts'
import type { Settings } from './config/settings.ts'
import { type Control, openControl } from './control.ts'
import type { Behaviour } from './exchange.ts'
import { createHealth, type NodeHealth } from './health.ts'
import { type Logger, openAccessLog } from './log.ts'
import { createProgressWatch } from './progress.ts'

export interface Node {
  readonly app: ReturnType<typeof createApp>
  readonly health: NodeHealth
  /** Settles what is owed and lets go of everything. */
  close(): Promise<void>
}

/** A process that keeps a store and serves it. */
export async function compose(settings: Settings, surroundings: Surroundings): Promise<Node> {
  const { log } = surroundings
  const access = await openAccessController(settings, log)
  try {
    const { store, close } = await openKept(settings, surroundings)
    return assemble(settings, store, access, log, close)
  } catch (error) {
    await access.close()
    throw error
  }
}

/** A process that keeps a store for workers. */
export interface Keeper {
  /** Whether the store can be used. */
  readonly probes: readonly (() => Promise<void>)[]
  /** `worker` takes its turn with everybody else, until the function it returns is called: it is dead then. */
  serveWorker(worker: End): () => void
  /** What a worker that died may have left is taken up. */
  takeUp(): Promise<void>
  close(): Promise<void>
}

export async function composeKeeper(settings: Settings, surroundings: Surroundings): Promise<Keeper> {
  const { store, close } = await openKept(settings, { ...surroundings, hasWorkers: true })
  return {
    probes: probesOf(store.parts),
    serveWorker: (worker) => store.serveWorker(openChannel(worker, isFromWorker)),
    takeUp: async () => void (await store.parts.settler.settleAll()),
    close,
  }
}

/** A process that serves what its parent keeps. */
export async function composeWorker(settings: Settings, surroundings: Surroundings, parent: End): Promise<Node> {
  const { log } = surroundings
  const access = await openAccessController(settings, log)
  try {
    const { attachStore } = await import('./compose/attach.ts')
    const store = await attachStore(settings, surroundings, openChannel(parent, isFromParent))
    return assemble(settings, store, access, log, store.close)
  } catch (error) {
    await access.close()
    throw error
  }
}

interface Kept {
  readonly store: Store
  close(): Promise<void>
}

/** The store, who can be asked about it, and what happens to it by itself. */
async function openKept(settings: Settings, surroundings: Surroundings): Promise<Kept> {
  const { log } = surroundings
  const store = await openStore(settings, surroundings)
  try {
    if (store.readOnly.on) log.warn(store.readOnly.status(), 'read-only: pushes and deletions are refused')
    const control = await listenForCommands(store, log)
    const background = startBackground(store, settings, log)
    return {
      store,
      async close() {
        await Promise.all([control?.close(), background.stop()])
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openAccessController({ auth }: Settings, log: Logger): Promise<AccessController> {
  if (auth.type === 'none') return openAccess()
  const { openHtpasswd } = await import('../auth/htpasswd.ts')
  return openHtpasswd({ realm: auth.realm, path: auth.path, log })
}

/** Nobody could find a store in memory; and one that nodes share is open to commands as it is to nodes. */
async function listenForCommands({ root, operations }: Store, log: Logger): Promise<Control | undefined> {
  return root.isShown ? openControl(socketPathIn(root.path), operations, log) : undefined
}

type Served = Pick<Store, 'parts' | 'space' | 'readOnly'>

function probesOf({ facts, driver }: LocalParts): (() => Promise<void>)[] {
  return [facts.probe, () => driver.probe()]
}

function assemble(
  settings: Settings,
  served: Served,
  access: AccessController,
  log: Logger,
  closeStore: () => Promise<void>,
): Node {
  const health = createHealth(probesOf(served.parts), settings.health.storageDriver)
  const progress = createProgressWatch()
  const accessLog = settings.log.accessLog.disabled ? undefined : openAccessLog(settings.log)
  const app = createApp({
    registry: withSpace(createRegistry(served.parts), served.space),
    access,
    behaviour: behaviourOf(settings, served),
    health,
    log,
    accessLog,
    clientAddress: clientAddressFrom(settings.http.trustedProxies),
    progress,
    headers: Object.fromEntries(Object.entries(settings.http.headers).map(([name, values]) => [name, [...values]])),
  })
  return {
    app,
    health,
    async close() {
      await closeStore()
      await Promise.all([access.close(), accessLog?.close()])
      progress.close()
      health.close()
    },
  }
}

function behaviourOf(settings: Settings, { readOnly, parts }: Served): Behaviour {
  const { storage, validation, catalog, tags, http } = settings
  const { disabled, exceptFor } = storage.redirect
  const isExcepted = peersFrom(exceptFor)
  return {
    redirects: disabled || !parts.driver.address ? () => false : (client) => !isExcepted(client),
    deleteEnabled: storage.delete.enabled,
    get readOnly() {
      return readOnly.on
    },
    maxManifestSize: validation.manifests.maxBytes,
    maxCatalogPage: catalog.maxEntries,
    maxTagPage: tags.maxTags,
    origin: http.relativeUrls ? '' : (http.host ?? ''),
    prefix: http.prefix,
  }
}
