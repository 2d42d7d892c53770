/** The operations of a running server, over its control socket (`server/control.ts`). */
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import type { Operations, Progress, Tell } from '../upkeep/operations.ts'
import { CommandFailure } from './failure.ts'

/** Whether somebody answers there. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(false)
      else reject(new CommandFailure(`the server cannot be asked (${path}): ${error.message}`))
    })
  })
}

export function createControlClient(socketPath: string): Operations {
  const order = <T>(method: 'GET' | 'POST', path: string, options: OrderOptions = {}): Promise<T> =>
    send<T>({ method, path, socketPath, ...options })
  return {
    status: () => order('GET', '/status'),
    collect: (options, tell, signal) => order('POST', '/gc', { body: options, tell, signal }),
    listTrash: (listing) => {
      const given = Object.entries(listing).map(([name, value]): [string, string] => [name, String(value)])
      return order('GET', `/trash?${new URLSearchParams(given)}`)
    },
    restoreTrash: (id) => order('POST', '/trash/restore', { body: { id } }),
    purgeTrash: (which, signal) => order('POST', '/trash/purge', { body: which, signal }),
    verify: (options, tell, signal) => order('POST', '/verify', { body: options, tell, signal }),
    backUp: (folder, tell, signal) => order('POST', '/backup', { body: { folder }, tell, signal }),
    setReadOnly: (on) => order('POST', '/readonly', { body: { on } }),
  }
}

interface OrderOptions {
  readonly body?: object
  readonly tell?: Tell
  readonly signal?: AbortSignal | undefined
}

interface Order extends OrderOptions {
  readonly method: string
  readonly path: string
  readonly socketPath: string
}

type Line = { readonly progress: Progress } | { readonly result: unknown } | { readonly error: string }

async function send<T>(order: Order): Promise<T> {
  try {
    return await outcomeOf<T>(await ask(order), order.tell)
  } catch (error) {
    order.signal?.throwIfAborted()
    if (error instanceof CommandFailure) throw error
    throw new CommandFailure(`the server ended meanwhile: ${error instanceof Error ? error.message : error}`)
  }
}

function ask({ method, path, socketPath, body, signal }: Order): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ method, path, socketPath, agent: false, ...(signal && { signal }) }, resolve)
    asked.on('error', reject)
    asked.end(body && JSON.stringify(body))
  })
}

async function outcomeOf<T>(answer: IncomingMessage, tell: Tell | undefined): Promise<T> {
  for await (const line of linesOf(answer)) {
    const told = JSON.parse(line) as Line
    if ('progress' in told) tell?.(told.progress)
    else if ('error' in told) throw new CommandFailure(told.error)
    else return told.result as T
  }
  throw new CommandFailure('the server ended before it had an answer')
}

async function* linesOf(answer: IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  answer.setEncoding('utf8')
  for await (const piece of answer as AsyncIterable<string>) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}
