/** The HTTP application over parts that a test makes up, on a real socket. */
import type { TestContext } from 'node:test'
import { pino } from 'pino'
import { openAccess } from '../../auth/access.ts'
import type { Registry, Repository } from '../../registry/registry.ts'
import { type AppParts, createApp } from '../../server/app.ts'
import { clientAddressFrom } from '../../server/client-address.ts'
import { listen } from '../../server/listener.ts'
import { createProgressWatch } from '../../server/progress.ts'
import { type Client, createClient } from './client.ts'

export interface ServedApp {
  readonly client: Client
  readonly port: number
  readonly logged: readonly string[]
}

export async function serveApp(t: TestContext, changes: Partial<AppParts>): Promise<ServedApp> {
  const logged: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const progress = createProgressWatch()
  const app = createApp({
    registry: brokenRegistry(() => new Error('this test has no registry')),
    access: openAccess(),
    behaviour: {
      redirects: () => false,
      deleteEnabled: true,
      readOnly: false,
      maxManifestSize: 1000,
      maxCatalogPage: 10,
      maxTagPage: 10,
      origin: '',
      prefix: '',
    },
    health: { unready: async () => undefined, draining: false },
    log,
    accessLog: undefined,
    clientAddress: clientAddressFrom([]),
    progress,
    headers: {},
    ...changes,
  })
  const address = { host: '127.0.0.1', port: 0 }
  const listener = await listen({ address, onRequest: app.callback(), log })
  t.after(async () => {
    await listener.close(0)
    progress.close()
  })
  const port = listener.port ?? 0
  return { client: createClient(`http://127.0.0.1:${port}`), port, logged }
}

/** Every question to it fails. */
export function brokenRegistry(error: () => Error): Registry {
  const fail = () => {
    throw error()
  }
  return { repository: fail, catalog: fail, search: fail }
}

/** A registry of which a test makes up some of one repository's services. */
export function partialRegistry(services: Partial<Repository>): Registry {
  const registry = brokenRegistry(() => new Error('this test has no such service'))
  return { ...registry, repository: () => services as Repository }
}
