/** `redis`: both spellings of distribution, that of 2.x and that of 3.x, which is go-redis' own. */
import { type HostAndPort, parseHostAndPort } from '../endpoints.ts'
import { anything, choice, count, duration, flag, list, parsedText, text } from '../kinds.ts'
import { option, optional, section } from '../option.ts'

const expected = 'addresses such as redis:6379 or [::1]:6379'
const several = list(`a list of ${expected}`, parseHostAndPort)
// An empty text is how a template says that there is no Redis.
const addresses: typeof several = { ...several, parse: (input) => (input === '' ? [] : several.parse(input)) }
const address = parsedText('address', 'an address such as redis:6379', (value): readonly HostAndPort[] | undefined => {
  const parsed = parseHostAndPort(value)
  return value === '' ? [] : parsed && [parsed]
})
const pemFile = text('the path of a PEM file')
const pemFiles = list('a list of paths of PEM files', (entry) => entry || undefined)

const noEffect = (why: string) => optional(anything, { description: `Accepted without an effect: ${why}.` })
const onePool = noEffect('a process has one connection for commands and one for notices')
const oneReader = noEffect('everything is asked of the server that writes')
const ownTries = noEffect('how often something is tried again depends on what it is')
const noName = noEffect('connections are not named')

export const redis = section(
  'What nodes share beside the database: who does what, and what has changed. Everything in it may be lost. Without ' +
    'an address, a node is alone. Several addresses without `mastername` are a cluster.',
  {
    addrs: optional(addresses, {
      description: `The servers, or the sentinels: ${expected}. The port is 6379, of sentinels 26379, where none is given.`,
    }),
    addr: optional(address, { description: 'The name of `addrs` in distribution 2.x, for a single one.' }),
    username: optional(text(), { description: 'The user, where there are several.' }),
    password: optional(text(), { description: 'The password.', secret: true }),
    db: option(count(0), '0', 'The number of the database; a cluster has only 0.'),
    mastername: optional(text(), { description: 'The master that the sentinels at `addrs` are asked for.' }),
    sentinelusername: optional(text(), { description: 'The user at the sentinels.' }),
    sentinelpassword: optional(text(), { description: 'The password at the sentinels.', secret: true }),
    isclustermode: option(flag, 'false', 'Takes a single address for one of a cluster.'),
    tls: section('TLS to Redis and to sentinels: where a file is named, or `enabled` says so.', {
      enabled: optional(flag, {
        description: 'Whether to speak TLS, with the authorities that the system trusts unless others are named.',
        defaultNote: '`true` where a file is named',
      }),
      certificate: optional(pemFile, { description: 'The certificate to show.' }),
      key: optional(pemFile, { description: 'The private key of the certificate.' }),
      rootcas: optional(pemFiles, { description: 'The authorities that are trusted.' }),
      clientcas: optional(pemFiles, { description: 'The old name of `rootcas`.' }),
      skipverify: option(flag, 'false', 'Takes any certificate for that of the server.'),
    }),
    protocol: option(choice('2', '3'), '2', 'The version of the protocol. Every server speaks 2.'),
    prefix: option(text(), 'berth:', 'What every key begins with, so that several registries can share a server.'),
    dialtimeout: option(
      duration(0),
      '5s',
      'How long a connection may take; 0 is the default, and less than 500ms is 500ms.',
    ),
    readtimeout: option(
      duration(0),
      '3s',
      'How long an answer may take; 0 is the default, and less than 500ms is 500ms.',
    ),
    writetimeout: noEffect('`readtimeout` counts from the moment of asking'),
    pool: section('Pools of connections in distribution 2.x.', {
      maxidle: onePool,
      maxactive: onePool,
      idletimeout: onePool,
    }),
    poolsize: onePool,
    poolfifo: onePool,
    pooltimeout: onePool,
    minidleconns: onePool,
    maxidleconns: onePool,
    maxactiveconns: onePool,
    connmaxidletime: onePool,
    connmaxlifetime: onePool,
    readbuffersize: onePool,
    writebuffersize: onePool,
    maxretries: ownTries,
    minretrybackoff: ownTries,
    maxretrybackoff: ownTries,
    maxredirects: ownTries,
    contexttimeoutenabled: ownTries,
    readonly: oneReader,
    routebylatency: oneReader,
    routerandomly: oneReader,
    clientname: noName,
    disableidentity: noName,
    disableindentity: noName,
    identitysuffix: noName,
    unstableresp3: noEffect('nothing is asked whose answer it would change'),
  },
)
