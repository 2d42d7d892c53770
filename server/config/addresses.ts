/** Where to listen, and the other addresses of the configuration. */
import { isIP } from 'node:net'
import type { ListenSettings } from './settings.ts'

export const networks = ['tcp', 'unix'] as const
export type Network = (typeof networks)[number]

export const expectedAddress: Readonly<Record<Network, string>> = {
  tcp: 'a port with or without a host, such as :5000, 127.0.0.1:5000 or [::1]:5000',
  unix: 'the path of a socket, such as /run/berth.sock',
}

export function parseListen(text: string, network: Network): ListenSettings | undefined {
  if (network === 'unix') return text === '' ? undefined : { path: text }
  const [, bracketed, bare, digits = ''] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port > 65535) return undefined
  if (bracketed !== undefined) return isIP(bracketed.split('%')[0] ?? '') === 6 ? { host: bracketed, port } : undefined
  if (bare === undefined || bare === '' || bare === '*') return { port }
  return /^[A-Za-z0-9._-]+$/.test(bare) ? { host: bare, port } : undefined
}

/** The URL that clients use, without a slash at its end. */
export function parseExternalUrl(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text)) return undefined
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return undefined
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** Empty, or `/path` without a slash at its end, whichever way it was written. */
export function parsePrefix(text: string): string | undefined {
  const segments = text.split('/').filter((segment) => segment !== '')
  const plain = segments.every((segment) => /^[A-Za-z0-9._~-]+$/.test(segment) && !/^\.+$/.test(segment))
  return plain ? segments.map((segment) => `/${segment}`).join('') : undefined
}
