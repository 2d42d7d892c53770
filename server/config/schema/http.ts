/** `http`: the network. */
import { expectedAddress, parseExternalUrl, parseListen, parsePrefix, networks as sockets } from '../addresses.ts'
import { autoOr, choice, count, duration, flag, headers, networks, parsedText, text } from '../kinds.ts'
import { option, optional, section } from '../option.ts'

const externalUrl = parsedText('URL', 'a URL that begins with http:// or https://', parseExternalUrl)
const prefix = parsedText('path', 'a path such as /registry/', parsePrefix)
const tcpAddress = parsedText('address', expectedAddress.tcp, (value) => parseListen(value, 'tcp'))

const tls = section('HTTPS. Both files, or neither.', {
  certificate: optional(text('the path of a PEM file'), {
    description: 'The certificate and the chain above it. Changed files are taken up without a restart.',
  }),
  key: optional(text('the path of a PEM file'), { description: 'The private key of the certificate.' }),
  minimumtls: option(choice('tls1.2', 'tls1.3'), 'tls1.2', 'The oldest version of TLS that is spoken.'),
})

export const http = section('The network.', {
  addr: option(
    text(expectedAddress.tcp),
    ':5000',
    'Where to listen: `host:port` or `:port`; a path where `net` is `unix`.',
  ),
  net: option(choice(...sockets), 'tcp', 'The kind of socket to listen on.'),
  host: optional(externalUrl, {
    description: 'The URL under which clients know this registry, where addresses in answers shall be absolute.',
  }),
  prefix: optional(prefix, { description: 'A path below which everything lives, such as `/registry/`.' }),
  secret: optional(text(), {
    description:
      'Accepted for distribution: uploads are kept in the database, and any node can continue them without it.',
    secret: true,
  }),
  relativeurls: option(flag, 'false', 'Addresses in answers are paths, even where `host` is set.'),
  draintimeout: option(duration(0), '25s', 'How long requests under way may take to finish when the registry stops.'),
  headers: optional(headers, { description: 'Headers that every answer carries: a list of values for each name.' }),
  trustedproxies: optional(networks, {
    description: 'Proxies whose `X-Forwarded-For` is believed: addresses, ranges such as `10.0.0.0/8`, or `unix`.',
  }),
  tls,
  debug: section(
    'A second address, without authentication: `/healthz`, `/readyz`, and `/debug/health` as in distribution.',
    {
      addr: optional(tcpAddress, { description: 'Where to listen; without it there is none. Keep it private.' }),
    },
  ),
  workers: option(
    autoOr(count(1)),
    'auto',
    'Processes that serve. `auto`: one, or on a local disk with more than two processors one fewer than there are, at ' +
      'most four. Each has caches, memory and PostgreSQL connections of its own; storage in memory has one.',
  ),
})
