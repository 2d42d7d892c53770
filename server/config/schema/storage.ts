/** `storage`: one driver, and what goes for every driver. */
import { anything, autoOr, count, duration, flag, networks, size, text } from '../kinds.ts'
import { choiceSection, option, optional, section } from '../option.ts'
import { s3 } from './s3.ts'

const uploadPurging = section('Gives up uploads that nobody continues.', {
  enabled: option(flag, 'true', 'Whether such uploads are given up at all.'),
  age: option(duration(1), '168h', 'How long an upload may rest before it is given up.'),
  interval: option(duration(1), '24h', 'How often they are looked for.'),
  dryrun: option(flag, 'false', 'Only logs what would be given up.'),
})

const noCache = { description: 'Accepted without an effect: what Berth keeps in memory is always coherent.' }

export const storage = section('Where the bytes are. One driver, and what goes for every driver.', {
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
  s3,
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
  redirect: section('Sending clients to S3 for the bytes, with a signed URL. On the filesystem it has no effect.', {
    disable: option(
      flag,
      'false',
      'Has the registry pass every byte on itself, as it always does on the filesystem: only S3 has URLs to send to.',
    ),
    exceptfor: optional(networks, {
      description:
        'Clients that cannot reach S3 and get the bytes through the registry: addresses, ranges such as ' +
        '`10.0.0.0/8`, or `unix`.',
    }),
    lifetime: option(duration(1000, 168 * 3_600_000), '20m', 'How long a URL that clients are sent to is good for.'),
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
