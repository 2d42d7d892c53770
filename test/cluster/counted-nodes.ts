/** Nodes whose every request to S3, PostgreSQL and Redis is noted. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, Reply } from '../support/client.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-fake/s3-fake.ts'
import { redisReader, sqlReader, startCountingWire } from './counting-wire.ts'
import { createNode } from './node.ts'
import { startServices } from './services.ts'

export interface Asked {
  readonly s3: readonly string[]
  readonly sql: readonly string[]
  readonly redis: readonly string[]
}

export interface Measured extends Asked {
  readonly reply: Reply
}

export interface CountedNodes {
  /** Two nodes, of which one has seen nothing of what the other one did, and one that sends blobs itself. */
  readonly here: Client
  readonly there: Client
  readonly through: Client
  /** What is asked until the answer has come. */
  measure(ask: () => Promise<Reply>): Promise<Measured>
  stop(): Promise<void>
}

/** Happens now and then, whoever asks what: new connections, the clock, what other nodes have decided, what is settled. */
const background = /^set |clock_timestamp|from "store"|"owed"\."key" >|from "owed" where "key" >/
const notices = /^(publish|subscribe|unsubscribe|hello|client|info|ping|select|eval)$/i
const quietMs = 300
const quietWithinMs = 10_000

export async function startCountedNodes(): Promise<CountedNodes> {
  let fake: FakeS3 | undefined
  const services = await startServices({ startStore: async () => (fake = await startFakeS3()) })
  const { database, postgres, redis } = services
  const sql = await startCountingWire({ host: '127.0.0.1', port: postgres.port }, sqlReader)
  const commands = await startCountingWire({ host: '127.0.0.1', port: redis.port }, redisReader)
  const url = new URL(database)
  url.port = String(sql.port)
  const env = {
    REGISTRY_METADATA_POSTGRES_URL: url.href,
    REGISTRY_REDIS_ADDR: `127.0.0.1:${commands.port}`,
    REGISTRY_LOG_ACCESSLOG_DISABLED: 'true',
  }
  const settings = [env, env, { ...env, REGISTRY_STORAGE_REDIRECT_DISABLE: 'true' }]
  const nodes = await Promise.all(settings.map(async (each) => createNode(await services.connect(), each)))
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()))
    await services.stop()
  }
  try {
    await Promise.all(nodes.map((node) => node.start()))
  } catch (error) {
    await stop()
    throw error
  }
  const s3 = fake!
  const noted = (): Asked => ({
    s3: s3.requests.map(({ operation }) => operation),
    sql: sql.asked.filter((text) => !background.test(text)),
    redis: commands.asked.filter((name) => !notices.test(name)),
  })
  const forget = () => {
    for (const each of [s3, sql, commands]) each.forget()
  }
  const [here, there, through] = nodes.map(({ client }) => client) as [Client, Client, Client]
  return {
    ...{ here, there, through, stop },
    async measure(ask) {
      await untilQuiet(() => noted(), forget)
      const reply = await ask()
      return { ...noted(), reply }
    },
  }
}

/** What was asked before has consequences: links that are cleared, bytes that move. */
async function untilQuiet(noted: () => Asked, forget: () => void): Promise<void> {
  const deadline = performance.now() + quietWithinMs
  for (;;) {
    forget()
    await sleep(quietMs)
    const { s3, sql, redis } = noted()
    if (s3.length + sql.length + redis.length === 0 || performance.now() > deadline) break
  }
  forget()
}
