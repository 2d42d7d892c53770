/** `berth healthcheck`: asks the registry whether it takes traffic, for containers whose images have no other client. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Command } from 'commander'
import { loadSettings } from '../server/config/load.ts'
import type { HttpSettings } from '../server/config/settings.ts'
import { CommandFailure } from './failure.ts'

const timeoutMs = 5_000

const help = `
Without a URL the address of the configuration is asked: [config] or variables, as with "serve".
Ends with 0 when the registry is ready, with 1 when it is not or does not answer within ${timeoutMs / 1000} s.

In a Dockerfile:
  HEALTHCHECK CMD ["berth", "healthcheck"]`

/** The URL, or the path on a socket. */
export interface Target {
  readonly url: string
  readonly socketPath?: string
}

export function addHealthcheckCommand(program: Command): void {
  program
    .command('healthcheck')
    .description('ask the registry whether it takes traffic')
    .argument('[url]', 'such as http://127.0.0.1:5000/readyz')
    .option('-c, --config <file>', 'configuration file')
    .addHelpText('after', help)
    .action(healthcheck)
}

async function healthcheck(url: string | undefined, { config }: { config?: string }): Promise<void> {
  const target = url === undefined ? targetOf(loadSettings({ env: process.env, file: config }).settings.http) : { url }
  const status = await statusOf(target).catch((error: Error) => {
    throw new CommandFailure(`${target.url} does not answer: ${error.message}`)
  })
  if (status !== 200) throw new CommandFailure(`${target.url} answers ${status}`)
  console.log(`${target.url} is ready`)
}

/** On this machine: an address for everybody is reached by the loopback address. */
export function targetOf({ listen, tls, prefix }: HttpSettings): Target {
  const scheme = tls === undefined ? 'http' : 'https'
  if ('path' in listen) return { url: `${scheme}://localhost${prefix}/readyz`, socketPath: listen.path }
  const everybody: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const host = listen.host === undefined ? '127.0.0.1' : (everybody[listen.host] ?? listen.host)
  return { url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${listen.port}${prefix}/readyz` }
}

function statusOf({ url, socketPath }: Target): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const request = url.startsWith('https:') ? requestHttps : requestHttp
  request(url, {
    // The certificate bears the public name; whether it is good is not what is asked, and nothing secret is sent.
    rejectUnauthorized: false,
    ...(socketPath !== undefined && { socketPath }),
    signal: AbortSignal.timeout(timeoutMs),
  })
    .on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    .on('error', reject)
    .end()
  return promise
}
