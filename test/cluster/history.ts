/**
 * Clients that push, retag, delete, list and pull through all nodes of a cluster at once, while everything behind it and
 * the nodes themselves break, and a judge who is told every request and its answer.
 *
 * ```
 * clients at work + faults ─► heal ─► kill all nodes, start them ─► look from every node ─► judge ─► clients at work ...
 * ```
 *
 * An answer of 5xx, or none, says nothing of what was done: it happened before the nodes were killed, or it never will.
 *
 *   node bin/node.js test/cluster/history.ts [OPERATIONS]      5,000 operations, with faults
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Calls, createCalls } from '../kill/calls.ts'
import { nothing, type Operation } from '../kill/history.ts'
import { judge, tellViolation } from '../kill/register-checker.ts'
import { verify } from '../kill/verification.ts'
import { work } from '../kill/workload.ts'
import { createWorld, type Figures, pick, type World } from '../kill/world.ts'
import { type Client, createClient, type Send } from '../support/client.ts'
import { digestOf } from '../support/image.ts'
import { createContent, pushInChunks } from './chunk-push.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { createFaults } from './faults.ts'
import { lookAtTags, prepareTags, type Tagged, workOnTags } from './tag-work.ts'

export interface HistoryOptions {
  /** The work ends after so many requests, or after so long. */
  readonly operations?: number
  readonly workMs: number
  readonly rounds?: number
  readonly withFaults?: boolean
  /** Stands between the clients and the nodes, and breaks a promise. */
  readonly lie?: (send: Send) => Send
  readonly onRound?: (told: Told) => void
}

export interface Told {
  readonly figures: Figures
  /** How often each fault was there. */
  readonly faults: Readonly<Record<string, number>>
  /** How often each status of 500 and more came. */
  readonly failures: Readonly<Record<string, number>>
  readonly uploads: number
}

export interface Outcome extends Told {
  readonly findings: readonly string[]
}

export const historyEnv = { REGISTRY_STORAGE_REDIRECT_DISABLE: 'true', REGISTRY_LOG_ACCESSLOG_DISABLED: 'true' }

const clients = 16
const uploaders = 2
const taggers = 8
const mostLate = 6
const patienceMs = 120_000
let runs = 0

interface Run extends HistoryOptions {
  readonly cluster: Cluster
  readonly world: World
  /** Repositories of its own, for clients whose workload always has the same. */
  readonly space: string
  readonly values: Map<string, ReadonlySet<string>>
  /** What may still happen to a blob, by register. */
  readonly late: Map<string, Operation[]>
  readonly failures: Record<string, number>
  readonly uploaded: { readonly name: string; readonly digest: string }[]
  tagged: Tagged
  isOver: boolean
}

export async function runHistory(cluster: Cluster, options: HistoryOptions): Promise<Outcome> {
  const state = { values: new Map(), late: new Map(), failures: {}, uploaded: [], tagged: new Map(), isOver: false }
  const run: Run = { ...options, ...state, cluster, world: createWorld(), space: `run${++runs}` }
  const { findings, figures } = run.world
  const { rounds = 1, operations = Number.POSITIVE_INFINITY, withFaults = false } = options
  run.tagged = await prepareTags(
    createCalls(
      run.world,
      clientOf(run, () => pick(cluster.nodes)),
      'maker',
    ),
  )
  const faults = createFaults(cluster)
  const told = { figures, faults: faults.counts, failures: run.failures }
  while (figures.rounds < rounds && figures.operations < operations && findings.length === 0) {
    const working = beginWork(run)
    const mend = withFaults ? faults.start() : async () => {}
    await untilEnough(run)
    await mend()
    await untilAnswered(run, working)
    if (withFaults) await restartAll(cluster)
    run.world.history.close()
    judgeAll(run)
    if (findings.length === 0) await look(run)
    figures.rounds++
    options.onRound?.({ ...told, uploads: run.uploaded.length })
  }
  if (findings.length > 0) {
    // A log is written a little later.
    await sleep(500)
    findings.push(troubles(cluster))
  }
  return { ...told, uploads: run.uploaded.length, findings }
}

function beginWork(run: Run): Promise<void>[] {
  const { rounds } = run.world.figures
  run.isOver = false
  return Array.from({ length: clients }, (_, n) => beginOne(run, n, `r${rounds}c${n}`))
}

function beginOne(run: Run, n: number, name: string): Promise<void> {
  const { world, tagged } = run
  if (n < uploaders) return upload(run)
  if (n < uploaders + taggers) return workOn(run, name, (calls) => workOnTags(world, calls, tagged))
  return workOn(run, name, ({ client }) => work(world, client, name))
}

async function untilEnough(run: Run): Promise<void> {
  const { workMs, operations = Number.POSITIVE_INFINITY, world } = run
  const deadline = performance.now() + workMs
  while (performance.now() < deadline && world.figures.operations < operations && world.findings.length === 0) {
    await sleep(20)
  }
  run.isOver = true
}

/** Everything is there again, so every request is answered. */
async function untilAnswered({ cluster }: Run, working: readonly Promise<void>[]): Promise<void> {
  const late = sleep(patienceMs, undefined, { ref: false }).then(() => {
    throw new Error(`clients were not answered within ${patienceMs / 1000} s:\n${troubles(cluster)}`)
  })
  await Promise.race([Promise.all(working), late])
}

/** What the nodes say of what went wrong, the last of it. */
function troubles({ nodes }: Cluster): string {
  const said = nodes.flatMap(({ output }) => output.split('\n').filter((line) => /level=(error|fatal)/.test(line)))
  return said.sort().slice(-20).join('\n')
}

/** It goes on as another client after each request whose outcome it does not know. */
async function workOn(run: Run, name: string, begin: (calls: Calls) => Promise<void>): Promise<void> {
  const client = createClient('http://nodes', sendToAny(run))
  for (let life = 0; !run.isOver && run.world.findings.length === 0; life++) {
    await begin(createCalls(run.world, client, `${name}.${life}`))
    await sleep(30)
  }
}

/** Uploads that are resumed at once, wherever they broke. */
async function upload(run: Run): Promise<void> {
  const send = sendToAny(run)
  const name = 'kill/uploads'
  while (!run.isOver) {
    const content = createContent(1 + Math.floor(Math.random() * 10_000_000))
    try {
      const { digest } = await pushInChunks({ send, name, content, isOver: () => run.isOver })
      run.uploaded.push({ name, digest })
    } catch (error) {
      if (!run.isOver) run.world.findings.push(`an upload: ${(error as Error).stack}`)
    }
  }
}

function sendToAny(run: Run): Send {
  const { nodes } = run.cluster
  const send = sendIn(run, () => pick(nodes.filter(({ isUp }) => isUp)) ?? pick(nodes))
  const lying = run.lie ? run.lie(send) : send
  return async (method, path, asked) => {
    // Each request that is begun is one whose outcome somebody has to wait for.
    if (run.isOver) throw new Error('the work is over')
    const reply = await lying(method, path, asked)
    if (reply.status < 500) return reply
    run.failures[reply.status] = (run.failures[reply.status] ?? 0) + 1
    const said = `${reply.status} ${reply.bytes}`
    throw new Error(said)
  }
}

/** Every run has repositories of its own. */
function sendIn({ space, world }: Run, choose: () => { readonly client: Client }): Send {
  const placed = (path: string) =>
    path.replace('/v2/kill/', `/v2/${space}/kill/`).replace('from=kill/', `from=${space}/kill/`)
  return async (method, path, asked) => {
    const reply = await choose().client.send(method, placed(path), asked)
    // Whatever breaks, it is something that was foreseen.
    if (reply.status === 500) world.findings.push(`${method} ${path} was answered ${reply.bytes}`)
    return reply
  }
}

const clientOf = (run: Run, choose: () => { readonly client: Client }): Client =>
  createClient('http://nodes', sendIn(run, choose))

/** Nothing of what was asked before happens afterwards. */
export async function restartAll({ nodes, services: { postgres, database } }: Cluster): Promise<void> {
  await Promise.all(nodes.map((node) => node.kill()))
  const others = `from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`
  for (let left = 1; left > 0; await sleep(20)) {
    const [row] = await postgres.ask(`select count(*)::int as left ${others}`, database)
    left = Number(row?.['left'])
  }
  await Promise.all(nodes.map((node) => node.start()))
}

function judgeAll({ world, values, late }: Run): void {
  for (const [register, noted] of world.history.take()) {
    const operations = [...(late.get(register) ?? []), ...noted]
    const verdict = judge(operations, values.get(register) ?? [nothing])
    values.set(register, verdict.values)
    if (isBlob(register)) late.set(register, stillPossible(operations))
    if (verdict.violation) world.findings.push(tellViolation(register, verdict.violation))
  }
}

const isBlob = (register: string): boolean => register.includes(' blob ')

/** A commit that a dead node left is taken up minutes later, by whoever comes upon it. */
function stillPossible(operations: readonly Operation[]): Operation[] {
  const unknown = operations.filter(({ outcome, effect }) => outcome === 'unknown' && effect.kind === 'write')
  return unknown.slice(0, mostLate).map((each) => ({ ...each, start: 0, end: Number.POSITIVE_INFINITY }))
}

async function look(run: Run): Promise<void> {
  const { cluster, world, uploaded } = run
  for (const node of cluster.nodes) {
    const client = clientOf(run, () => node)
    await verify(world, client, true)
    // Nobody breaks anything now.
    await lookAtTags(createCalls(world, client, 'verifier')).catch((error: Error) => world.findings.push(error.message))
    for (const { name, digest } of uploaded) await lookAtUpload(run, client, name, digest)
  }
  // Nobody asks now, so nothing is left whose outcome is not known.
  world.history.close()
  judgeAll(run)
}

async function lookAtUpload({ world }: Run, client: Client, name: string, digest: string): Promise<void> {
  const reply = await client.getBlob(name, digest).catch((error: Error) => error)
  const said = reply instanceof Error ? reply.message : reply.status === 200 ? digestOf(reply.bytes) : reply.status
  if (said !== digest) world.findings.push(`${name}: ${digest} was acknowledged, and is answered with ${said}`)
}

if (import.meta.main) {
  const operations = Number(process.argv[2] ?? 5000)
  const cluster = await startCluster({ withGate: true, env: historyEnv })
  try {
    const tell = ({ figures }: Told) => console.log(`round ${figures.rounds}: ${figures.operations} operations`)
    const options = { operations, workMs: 20_000, rounds: Number.POSITIVE_INFINITY, withFaults: true, onRound: tell }
    const { findings, ...told } = await runHistory(cluster, options)
    console.log(JSON.stringify(told, undefined, 1))
    for (const finding of findings) console.log(finding)
    console.log(findings.length === 0 ? 'every answer is explained' : 'there is no explanation for some answers')
    process.exitCode = findings.length === 0 ? 0 : 1
  } finally {
    await cluster.stop()
  }
}
