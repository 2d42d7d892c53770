/** Who really asks, when proxies stand in between: `X-Forwarded-For` is believed only as far as trusted peers wrote it. */
import { BlockList, isIP, SocketAddress } from 'node:net'

/** Whether an address is among those; nothing stands for a peer without an address, as on a Unix socket. */
export type Peers = (address: string | undefined) => boolean
export type ClientAddress = (peer: string | undefined, forwardedFor: string | undefined) => string

const longestHop = 64
/** No honest chain is longer, and it bounds the work a header can ask for. */
const mostHops = 32
const mapped = '::ffff:'

/** Entries are addresses, CIDR ranges, or `unix` for peers on a Unix socket. A wrong entry is an error. */
export function peersFrom(entries: readonly string[]): Peers {
  const list = new BlockList()
  let unix = false
  for (const entry of entries) {
    if (entry === 'unix') unix = true
    else addEntry(list, entry)
  }
  if (entries.length === 0) return () => false
  return (address) => {
    if (address === undefined) return unix
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

function addEntry(list: BlockList, entry: string): void {
  const [address = '', length, ...rest] = entry.split('/')
  const family = isIP(address)
  const bits = family === 6 ? 128 : 32
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN
  if (family === 0 || rest.length > 0 || !(prefix <= bits)) {
    throw new Error(`"${entry}" is no address: expected one, a range such as 10.0.0.0/8, or unix`)
  }
  list.addSubnet(address, prefix, family === 6 ? 'ipv6' : 'ipv4')
}

export function clientAddressFrom(trusted: readonly string[]): ClientAddress {
  const isTrusted = peersFrom(trusted)
  return (peer, forwardedFor) => {
    const nearest = peer === undefined ? 'unknown' : unmap(peer)
    if (forwardedFor === undefined || !isTrusted(peer)) return nearest
    return walk(forwardedFor, nearest, isTrusted)
  }
}

/** From the right, because each proxy appends: the first hop that is not ours is the client, whatever stands before. */
function walk(forwardedFor: string, nearest: string, isTrusted: Peers): string {
  let client = nearest
  let end = forwardedFor.length
  for (let hops = 0; hops < mostHops && end >= 0; hops++) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(',', end - 1)
    const hop = end - comma > longestHop ? undefined : parseHop(forwardedFor.slice(comma + 1, end).trim())
    if (hop === undefined) return client
    client = hop
    if (!isTrusted(hop)) return client
    end = comma
  }
  return client
}

/** `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. */
function parseHop(text: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  const family = isIP(bare)
  if (family === 0 || bare.includes('%')) return undefined
  return family === 4 ? bare : unmap(new SocketAddress({ address: bare, family: 'ipv6' }).address)
}

/** A dual-stack socket shows IPv4 peers as `::ffff:192.0.2.1`; they are one client. */
function unmap(address: string): string {
  return address.startsWith(mapped) && address.includes('.') ? address.slice(mapped.length) : address
}
