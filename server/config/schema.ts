/**
 * THE TABLE of settings: distribution's config.yml, version 0.1, as far as Berth has what it configures, and sections of
 * our own. `docs/configuration.md` is made from it; what is known but not there to be configured stands in `pending.ts`.
 */
import type { z } from 'zod'
import { expectedAddress, networks, parseExternalUrl, parseListen, parsePrefix } from './addresses.ts'
import {
  anything,
  autoOr,
  choice,
  count,
  duration,
  fields,
  flag,
  headers,
  parsedText,
  size,
  text,
  trustedProxies,
} from './kinds.ts'
import { choiceSection, nodeOf, option, optional, required, section } from './option.ts'

const level = choice('error', 'warn', 'info', 'debug')
const mebibyte = 2 ** 20

const log = section("The program's own log, on standard error, and the access log, on standard output.", {
  level: option(level, 'info', 'What is worth a line: everything at this level and above it.'),
  formatter: option(choice('text', 'json', 'logstash'), 'text', 'How a line is written.'),
  fields: optional(fields, { description: 'Fields that every line carries.' }),
  accesslog: section('One line for each request.', {
    disabled: option(flag, 'false', 'Writes no access log.'),
  }),
})

const uploadPurging = section('Gives up uploads that nobody continues.', {
  enabled: option(flag, 'true', 'Whether such uploads are given up at all.'),
  age: option(duration(1), '168h', 'How long an upload may rest before it is given up.'),
  interval: option(duration(1), '24h', 'How often they are looked for.'),
  dryrun: option(flag, 'false', 'Only logs what would be given up.'),
})

const noCache = { description: 'Accepted without an effect: what Berth keeps in memory is always coherent.' }

const storage = section('Where the bytes are. One driver, and what goes for every driver.', {
  filesystem: choiceSection('Files below one folder; the driver where none is named.', {
    rootdirectory: optional(text('the path of a folder'), {
      description:
        'The folder that holds everything, in the layout of distribution. A volume of `registry:2` or `registry:3` is ' +
        'taken over and served while it is read. ' +
        'Not set, it is `./data`; in a file that names `storage.filesystem`, `/var/lib/registry`, as with distribution.',
      defaultNote: '`./data`',
    }),
    maxthreads: option(
      count(1),
      '100',
      'Accepted without an effect: `UV_THREADPOOL_SIZE` is how many threads work on files.',
    ),
  }),
  inmemory: choiceSection('Everything in memory, for tests: it is gone when the process ends.', {}),
  delete: section('What clients may remove.', {
    enabled: optional(flag, {
      description:
        'Whether clients may delete manifests, tags and blobs. On without a file, off with one that is silent.',
      defaultNote: '`true` without a file, `false` with one',
    }),
  }),
  maintenance: section('Keeping house.', {
    uploadpurging: uploadPurging,
    readonly: section('Serving what is there and taking nothing new.', {
      enabled: option(flag, 'false', 'Answers everything that would write with 405.'),
    }),
    reserve: option(
      autoOr(size(0, Number.MAX_SAFE_INTEGER)),
      'auto',
      'Free bytes below which pushes are refused with 503. `auto` is 5 % of the volume, at most 1 GiB.',
    ),
  }),
  redirect: section('Sending clients to where the bytes are.', {
    disable: option(flag, 'false', 'Accepted without an effect: the drivers of today serve every byte themselves.'),
  }),
  cache: section('A cache of descriptors.', {
    blobdescriptor: optional(anything, noCache),
    blobdescriptorsize: optional(anything, noCache),
    layerinfo: optional(anything, { description: 'The old name of `blobdescriptor`. Accepted without an effect.' }),
  }),
  tag: section('How tags are looked up.', {
    concurrencylimit: optional(anything, { description: 'Accepted without an effect: tags are found by one query.' }),
  }),
})

const metadata = section('Where the facts are: repositories, tags, manifests, uploads.', {
  sqlite: section('The embedded database.', {
    path: optional(text('the path of a file'), {
      description: 'The file of the database. It must be on a local file system for more than one process to share it.',
      defaultNote: '`<root>/berth/berth.db`',
    }),
  }),
})

const auth = section('Who may do what. One way; without any, everybody may do everything.', {
  none: choiceSection('Everybody may do everything, said openly.', {}),
  htpasswd: choiceSection('Whoever is in the file may do everything, nobody else anything.', {
    realm: required(text('the name that clients show when they ask for a password'), {
      description: 'The name that clients show when they ask for a password.',
    }),
    path: required(text('the path of an htpasswd file'), {
      description: 'The htpasswd file, with bcrypt hashes (`htpasswd -B`). It is read again when it changes.',
    }),
  }),
})

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

const http = section('The network.', {
  addr: option(
    text(expectedAddress.tcp),
    ':5000',
    'Where to listen: `host:port` or `:port`; a path where `net` is `unix`.',
  ),
  net: option(choice(...networks), 'tcp', 'The kind of socket to listen on.'),
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
  trustedproxies: optional(trustedProxies, {
    description: 'Proxies whose `X-Forwarded-For` is believed: addresses, ranges such as `10.0.0.0/8`, or `unix`.',
  }),
  tls,
  debug: section(
    'A second address, without authentication: `/healthz`, `/readyz`, and `/debug/health` as in distribution.',
    {
      addr: optional(tcpAddress, { description: 'Where to listen; without it there is none. Keep it private.' }),
    },
  ),
  workers: option(count(1), '1', 'Processes that serve.'),
})

const manifests = section('Manifests.', {
  sparse: option(
    choice('allow', 'deny'),
    'deny',
    'Whether a manifest may refer to content that its repository does not have.',
  ),
  maxbytes: option(size(1024, 64 * mebibyte), '4MiB', 'The largest manifest that is taken.'),
})

export const schema = section('', {
  version: option(choice('0.1'), '0.1', 'The version of this format.'),
  log,
  loglevel: optional(level, { description: 'The old name of `log.level`.' }),
  storage,
  metadata,
  auth,
  http,
  catalog: section('`GET /v2/_catalog`.', {
    maxentries: option(count(1), '1000', 'Entries in one page at most.'),
  }),
  tags: section('`GET /v2/<name>/tags/list`.', {
    maxtags: option(count(1), '1000', 'Tags in one page at most.'),
  }),
  validation: section('What is checked in a push.', { manifests }),
  collector: section('Freeing the bytes that nothing refers to any more.', {
    grace: option(
      duration(1),
      '24h',
      'How long something that nobody refers to stays. Longer than a push takes, or the push must be repeated.',
    ),
    interval: option(
      duration(0),
      '1h',
      'How often something is looked for that can go; 0 is only when a command asks for it.',
    ),
    trash: option(duration(0), '168h', 'How long a deleted tag or manifest can be restored; 0 where nothing can be.'),
  }),
  health: section('What makes a node unhealthy.', {
    storagedriver: section('A look at the storage, again and again; without it `/readyz` looks when it is asked.', {
      enabled: option(flag, 'false', 'Whether the storage is looked at between requests.'),
      interval: option(duration(1), '10s', 'How often.'),
      threshold: option(count(0), '0', 'Failures in a row until the node counts as unhealthy; 0 is 1.'),
    }),
  }),
})

export type Parsed = z.output<typeof schema>
export const root = nodeOf(schema)
