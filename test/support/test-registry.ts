/** A whole registry inside the test's process, on a folder of its own, reached over a real socket. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { compose, type Node } from '../../server/compose.ts'
import type { Settings } from '../../server/config/settings.ts'
import { type Listener, listen } from '../../server/listener.ts'

export interface TestRegistry {
  readonly url: string
  readonly port: number
  readonly root: string
  readonly node: Node
  /** What was logged, a line each. */
  readonly logged: readonly string[]
  /** Stops it; the folder stays until the next `close`. */
  stop(): Promise<void>
  close(): Promise<void>
}

export type Changes = { readonly [Section in keyof Settings]?: Partial<Settings[Section]> }

export async function startTestRegistry(changes: Changes = {}, folder?: string): Promise<TestRegistry> {
  const root = folder ?? (await mkdtemp(join(tmpdir(), 'berth-test-')))
  const settings = testSettings(root, changes)
  const logged: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(line) })
  const onFatal = (error: unknown): void => {
    throw error
  }
  const node = await compose(settings, { log, onFatal })
  const listener: Listener = await listen({ address: settings.http.listen, onRequest: node.app.callback(), log })
  let stopped = false
  async function stop(): Promise<void> {
    if (stopped) return
    stopped = true
    node.health.drain()
    await listener.close(1000)
    await node.close()
  }
  return {
    url: `http://127.0.0.1:${listener.port}`,
    port: listener.port ?? 0,
    root,
    node,
    logged,
    stop,
    async close() {
      await stop()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export function testSettings(root: string, changes: Changes = {}): Settings {
  const settings: Settings = {
    log: { level: 'info', formatter: 'json', fields: {}, accessLog: { disabled: true } },
    storage: {
      driver: { name: 'filesystem', root },
      delete: { enabled: true },
      maintenance: {
        uploadPurging: { enabled: true, ageMs: 604_800_000, intervalMs: 86_400_000, dryRun: false },
        readOnly: { enabled: false },
        // What other programs leave of this machine's disk must not decide about a test.
        reserve: 0,
      },
      redirect: { disabled: false, exceptFor: [], lifetimeMs: 20 * 60_000 },
    },
    metadata: { sqlite: { path: join(root, 'berth/berth.db') } },
    auth: { type: 'none' },
    http: {
      listen: { host: '127.0.0.1', port: 0 },
      host: undefined,
      prefix: '',
      secret: undefined,
      relativeUrls: false,
      drainTimeoutMs: 1000,
      headers: {},
      trustedProxies: [],
      tls: undefined,
      debug: { listen: undefined },
      workers: 1,
    },
    catalog: { maxEntries: 1000 },
    tags: { maxTags: 1000 },
    validation: { manifests: { sparse: 'deny', maxBytes: 4 * 1024 * 1024 } },
    collector: { graceMs: 86_400_000, intervalMs: 0, trashMs: 604_800_000 },
    health: { storageDriver: { enabled: false, intervalMs: 10_000, threshold: 1 } },
  }
  const merged = Object.entries(changes).map(([section, change]) => [
    section,
    { ...settings[section as keyof Settings], ...change },
  ])
  return { ...settings, ...Object.fromEntries(merged) }
}
