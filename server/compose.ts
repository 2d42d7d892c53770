/**
 * The architecture on one screen: a store, the registry that it makes, the application that serves it, and what happens
 * beside it. `compose/store.ts` picks the store's concrete parts.
 */
import { type AccessController, openAccess } from '../auth/access.ts'
import { createRegistry } from '../registry/local.ts'
import { withSpace } from '../registry/with-space.ts'
import { createApp } from './app.ts'
import { clientAddressFrom } from './client-address.ts'
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

export async function compose(settings: Settings, surroundings: Surroundings): Promise<Node> {
  const { log } = surroundings
  const access = await openAccessController(settings, log)
  let store: Store | undefined
  try {
    store = await openStore(settings, surroundings)
    if (store.readOnly.on) log.warn(store.readOnly.status(), 'read-only: pushes and deletions are refused')
    const control = await listenForCommands(settings, store, log)
    return assemble(settings, store, access, control, log)
  } catch (error) {
    await Promise.all([access.close(), store?.close()])
    throw error
  }
}

async function openAccessController({ auth }: Settings, log: Logger): Promise<AccessController> {
  if (auth.type === 'none') return openAccess()
  const { openHtpasswd } = await import('../auth/htpasswd.ts')
  return openHtpasswd({ realm: auth.realm, path: auth.path, log })
}

/** Nobody could find a store in memory. */
async function listenForCommands({ storage }: Settings, store: Store, log: Logger): Promise<Control | undefined> {
  return storage.driver.name === 'inmemory' ? undefined : openControl(socketPathIn(store.root), store.operations, log)
}

function assemble(
  settings: Settings,
  store: Store,
  access: AccessController,
  control: Control | undefined,
  log: Logger,
): Node {
  const { facts, driver } = store.parts
  const health = createHealth([facts.probe, () => driver.probe()], settings.health.storageDriver)
  const progress = createProgressWatch()
  const accessLog = settings.log.accessLog.disabled ? undefined : openAccessLog(settings.log)
  const app = createApp({
    registry: withSpace(createRegistry(store.parts), store.space),
    access,
    behaviour: behaviourOf(settings, store),
    health,
    log,
    accessLog,
    clientAddress: clientAddressFrom(settings.http.trustedProxies),
    progress,
    headers: Object.fromEntries(Object.entries(settings.http.headers).map(([name, values]) => [name, [...values]])),
  })
  const background = startBackground(store, settings, log)
  return {
    app,
    health,
    async close() {
      await Promise.all([control?.close(), background.stop()])
      await store.close()
      await Promise.all([access.close(), accessLog?.close()])
      progress.close()
      health.close()
    },
  }
}

function behaviourOf({ storage, validation, catalog, tags, http }: Settings, { readOnly }: Store): Behaviour {
  return {
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
