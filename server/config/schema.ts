/**
 * THE TABLE of settings: distribution's config.yml, version 0.1, as far as Berth has what it configures, and sections of
 * our own; the larger sections are in `schema/`. `docs/configuration.md` is made from it; what is known but not there to
 * be configured stands in `pending.ts`.
 */
import type { z } from 'zod'
import { choice, count, duration, fields, flag, size, text } from './kinds.ts'
import { choiceSection, nodeOf, option, optional, required, section } from './option.ts'
import { http } from './schema/http.ts'
import { metadata } from './schema/metadata.ts'
import { redis } from './schema/redis.ts'
import { storage } from './schema/storage.ts'

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
  redis,
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
