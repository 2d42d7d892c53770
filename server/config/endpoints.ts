/** Services that a registry leans on, and where they are. */
import { isIP } from 'node:net'

export interface HostAndPort {
  readonly host: string
  readonly port: number | undefined
}

/** `redis`, `redis:6379`, `192.0.2.1:6379`, `[2001:db8::1]:6379`. */
export function parseHostAndPort(text: string): HostAndPort | undefined {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && (port < 1 || port > 65535)) return undefined
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined
  return bare === undefined ? undefined : { host: bare, port }
}

/** With or without a scheme, as distribution takes it; without a slash at its end. */
export function parseEndpoint(text: string): string | undefined {
  const [, scheme, rest = ''] = /^(https?:\/\/)?(.*)$/i.exec(text) ?? []
  const url = plainUrl(`${scheme ?? 'https://'}${rest}`)
  if (url === undefined || /^\/|:\/\//.test(rest)) return undefined
  const place = `${url.host}${url.pathname}`.replace(/\/+$/, '')
  return scheme === undefined ? place : `${url.protocol}//${place}`
}

/** Scheme and host alone. */
export function parseOrigin(text: string): string | undefined {
  const url = /^https?:\/\/[^/]/i.test(text) ? plainUrl(text) : undefined
  return url?.pathname === '/' ? url.origin : undefined
}

function plainUrl(text: string): URL | undefined {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || /[?#\s]/.test(text)) return undefined
  return url
}

export function parsePostgresUrl(text: string): string | undefined {
  const url = /^postgres(ql)?:\/\//.test(text) ? URL.parse(text) : null
  const isPlain = url !== null && url.hash === '' && !/\s/.test(text)
  return isPlain && (url.host !== '' || url.searchParams.has('host')) ? text : undefined
}

/** For showing: a password can also stand behind the `?`. */
export function hidePassword(text: string): string {
  const url = URL.parse(text)
  if (url === null) return '(hidden)'
  if (url.password !== '') url.password = '***'
  for (const name of [...url.searchParams.keys()]) if (/pass/i.test(name)) url.searchParams.set(name, '***')
  return url.href
}
