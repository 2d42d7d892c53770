/** A listener for one test. */
import type { RequestListener } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { type Listener, type ListenerOptions, listen } from '../../server/listener.ts'
import { openLog } from '../../server/log.ts'

/** What was logged, a line each. */
export const logged: string[] = []
export const log = await openLog({
  level: 'info',
  formatter: 'text',
  output: { write: (line) => void logged.push(line) },
})

export async function start(
  t: TestContext,
  onRequest: RequestListener,
  more: Partial<ListenerOptions> = {},
): Promise<Listener & { readonly port: number }> {
  const listener = await listen({ address: { host: '127.0.0.1', port: 0 }, onRequest, log, ...more })
  t.after(() => listener.close(0))
  return listener as Listener & { readonly port: number }
}

/** Sends bytes as they are and gives what comes back until the end. */
export async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes)
  return text(socket)
}
