/** Berth under strace: which calls it made on its folder, and which answers were on their way before which call. */
import { mkdirSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type BerthProcess, startBerth } from '../support/berth-process.ts'
import { type Client, createClient, type Reply, type Send } from '../support/client.ts'
import { tool } from '../support/tools.ts'

/** What a client may rely on once it has the answer: `<repository>:<tag>`, `<repository>@<digest>`, or `<repository>/<digest>` of a blob. */
export type Changes = Readonly<Record<string, string | undefined>>

export interface Asked {
  /** The client's port: each request has a connection of its own, so this finds it in the trace. */
  readonly port: number
  /** Which start of the server answered. */
  readonly run: number
  readonly what: string
  readonly changes: Changes
}

export interface UploadNote {
  readonly location: string
  readonly name: string
  readonly digest: string
  readonly bytes: Buffer
}

/** One start of the server. */
export interface Run {
  readonly berth: BerthProcess
  /** A client; what it asks for changes these facts once it is answered. */
  changing(changes: Changes): Client
  readonly client: Client
  note(upload: UploadNote): void
}

export interface Recording {
  readonly root: string
  /** One for each start. */
  readonly traces: readonly string[]
  readonly asked: readonly Asked[]
  readonly uploads: readonly UploadNote[]
}

const traced = [
  'accept4,openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync',
  'sync,syncfs,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat',
  'copy_file_range,sendfile,io_uring_setup',
].join(',')

/** Whether strace may trace a process here, and can name a connection: some sandboxes let it do neither. */
export const straceOptions = ['-D', '-f', '-yy', '-xx', '-s', '500000', '-ttt', '-e', `trace=${traced}`]

/** Runs each part against a server of its own start, all on one new folder; `end` says how each leaves. */
export async function record(
  scratch: string,
  parts: readonly { readonly end: 'kill' | 'stop'; readonly work: (run: Run) => Promise<void> }[],
): Promise<Recording> {
  const root = join(scratch, 'recorded')
  mkdirSync(root)
  const asked: Asked[] = []
  const uploads: UploadNote[] = []
  const traces: string[] = []
  for (const [index, { end, work }] of parts.entries()) {
    const trace = join(scratch, `trace-${index}`)
    const berth = await startTraced(root, ['-o', trace, ...straceOptions])
    const clientFor = (changes: Changes) =>
      createClient(
        berth.url,
        notingSend(berth.url, (port, what) => asked.push({ port, run: index, what, changes })),
      )
    await work({ berth, changing: clientFor, client: clientFor({}), note: (upload) => uploads.push(upload) })
    // A call that is under way when the process ends is told of by halves.
    await sleep(500)
    await berth[end]()
    traces.push(await untilWritten(trace, berth.pid))
  }
  return { root, traces, asked, uploads }
}

/** Berth as a child of strace's making: with `-D` the process that was started becomes Berth, and strace watches it. */
export async function startTraced(root: string, options: readonly string[]): Promise<BerthProcess> {
  const serve = [process.execPath, join(import.meta.dirname, '../../bin/berth.js'), 'serve']
  const name = 'BERTH_TEST_SERVER_COMMAND'
  process.env[name] = [tool('strace'), ...options, ...serve].join(' ')
  try {
    // One that is set already may differ: what is traced must not go through io_uring, which strace cannot see.
    return await startBerth({ root, env: { UV_USE_IO_URING: '0' } })
  } finally {
    delete process.env[name]
  }
}

async function untilWritten(path: string, pid: number): Promise<string> {
  const ended = new RegExp(`^${pid} +[\\d.]+ \\+\\+\\+ (exited|killed)`, 'm')
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(50)) {
    const text = readFileSync(path, 'utf8')
    if (ended.test(text.slice(-20_000))) return text
  }
  throw new Error('strace did not end with the process it traced')
}

/** As the tests' own client, but the port that a request left from is noted before it leaves. */
function notingSend(base: string, note: (port: number, what: string) => void): Send {
  const { hostname, port } = new URL(base)
  return (method, path, { headers = {}, body } = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const outgoing = request({ hostname, port, path, method, headers, agent: false }, (answer) => {
      const pieces: Buffer[] = []
      answer.on('data', (piece: Buffer) => pieces.push(piece))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, bytes: Buffer.concat(pieces) }),
      )
      answer.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.on('socket', (socket) => {
      socket.once('connect', () => note(socket.localPort ?? 0, `${method} ${path}`))
    })
    outgoing.end(body)
    return promise
  }
}
