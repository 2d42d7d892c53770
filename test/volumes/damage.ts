/** What accidents, disks and other programs do to a volume, a repository of its own for each. */
import {
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type Built, blob, digestOf, image } from '../support/image.ts'
import { dataPath } from './wide-volume.ts'

/** What a client asks for of the image that is damaged: everything else stays as it was. */
export type Part = 'tag' | 'manifest' | 'config' | 'small' | 'large'

/** Where the repository lies, and what was pushed there as `v1`. */
export interface Place {
  readonly v2: string
  readonly folder: string
  readonly outside: string
  readonly digests: Readonly<Record<Exclude<Part, 'tag'>, string>>
  layer(part: Part): string
  revision(): string
  current(): string
  index(): string
  data(part: Part): string
}

export interface Damage {
  readonly name: string
  apply(place: Place): void
  readonly lost: readonly Part[]
  /** Is found by reading every byte, and not before. */
  readonly lostOnceVerified?: readonly Part[]
  /** The path that verifying names; nothing where there is nothing to be said. */
  named?(place: Place): string
  /** `verify --repair` brings it all back. */
  readonly isMended?: boolean
}

export const damagedImage = (): Built => image({ layers: [blob(300), blob(200_000)] })

export function placeOf(root: string, name: string, built: Built): Place {
  const v2 = join(root, 'docker/registry/v2')
  const folder = join(v2, 'repositories', name)
  const [config, small, large] = built.blobs.map(({ digest }) => digest) as [string, string, string]
  const digests = { manifest: built.digest, config, small, large }
  const digestFor = (part: Part): string => digests[part === 'tag' ? 'manifest' : part]
  const spread = (digest: string): string => digest.replace(':', '/')
  return {
    v2,
    folder,
    outside: join(root, 'outside'),
    digests,
    layer: (part) => join(folder, '_layers', spread(digestFor(part)), 'link'),
    revision: () => join(folder, '_manifests/revisions', spread(built.digest), 'link'),
    current: () => join(folder, '_manifests/tags/v1/current/link'),
    index: () => join(folder, '_manifests/tags/v1/index', spread(built.digest), 'link'),
    data: (part) => dataPath(v2, digestFor(part)),
  }
}

const another = digestOf('of nothing that is stored')

/** Ways in which a link file can say nothing. */
const ruins: Readonly<Record<string, (path: string, place: Place) => void>> = {
  empty: (path) => writeFileSync(path, ''),
  zeros: (path) => writeFileSync(path, Buffer.alloc(71)),
  malformed: (path) => writeFileSync(path, 'sha256:short'),
  long: (path) => writeFileSync(path, 'x'.repeat(5000)),
  folder: (path) => replaceWith(path, () => mkdirSync(path)),
  symlink: (path, { outside }) => moveOut(path, outside),
}

/** Ways in which bytes can be lost. */
const losses: Readonly<Record<string, (path: string, place: Place) => void>> = {
  empty: (path) => truncateSync(path, 0),
  truncated: (path) => truncateSync(path, readFileSync(path).length - 7),
  longer: (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('more')])),
  missing: (path) => rmSync(path),
  'no folder': (path) => rmSync(dirname(path), { recursive: true }),
  folder: (path) => replaceWith(path, () => mkdirSync(path)),
  symlink: (path, { outside }) => moveOut(path, outside),
}

function replaceWith(path: string, work: () => void): void {
  rmSync(path, { recursive: true })
  work()
}

/** The same content, elsewhere: what leads out of the volume is not followed. */
function moveOut(path: string, outside: string): void {
  mkdirSync(outside, { recursive: true })
  const target = join(outside, digestOf(path).slice(7, 27))
  renameSync(path, target)
  symlinkSync(target, path)
}

function linkDamages(): Damage[] {
  return Object.entries(ruins).flatMap(([way, ruin]): Damage[] => [
    link(`layer link ${way}`, (place) => place.layer('small'), ruin, ['small'], true),
    link(`revision link ${way}`, (place) => place.revision(), ruin, ['tag', 'manifest'], true),
    link(`tag link ${way}`, (place) => place.current(), ruin, ['tag'], false),
    historyLink(way, ruin),
  ])
}

/** What a tag points to is known: its link in the history is written again when the volume is read. */
function historyLink(way: string, ruin: (path: string, place: Place) => void): Damage {
  const { named: _, ...damage } = link(`history link ${way}`, (place) => place.index(), ruin, [], false)
  return damage
}

function link(
  name: string,
  pathOf: (place: Place) => string,
  ruin: (path: string, place: Place) => void,
  lost: readonly Part[],
  isMended: boolean,
): Damage {
  // A folder may hold something that somebody wants.
  const isInTheWay = ruin === ruins['folder']
  const apply = (place: Place): void => ruin(pathOf(place), place)
  return { name, lost, named: pathOf, isMended: isMended && !isInTheWay, apply }
}

function byteDamages(): Damage[] {
  const parts = ['small', 'large', 'manifest'] as const
  return Object.entries(losses).flatMap(([way, lose]) =>
    parts.map((part): Damage => {
      const lost: readonly Part[] = part === 'manifest' ? ['tag', 'manifest'] : [part]
      const isGone = way === 'missing' || way === 'no folder'
      // Of a manifest that is not there, the link says that it should be.
      const named = (place: Place) => (isGone && part === 'manifest' ? place.revision() : place.data(part))
      return { name: `${part} ${way}`, lost, named, apply: (place) => lose(place.data(part), place) }
    }),
  )
}

const flip = (path: string): void => {
  const bytes = readFileSync(path)
  bytes[10] = (bytes[10] ?? 0) ^ 255
  writeFileSync(path, bytes)
}

const otherDamages: readonly Damage[] = [
  {
    name: 'layer link of another digest',
    lost: ['small'],
    apply: (place) => writeFileSync(place.layer('small'), another),
    named: (place) => place.layer('small'),
    isMended: true,
  },
  {
    name: 'tag to nothing',
    lost: ['tag'],
    apply: (place) => writeFileSync(place.current(), another),
    named: (place) => place.current(),
  },
  {
    name: 'tag without a current link',
    lost: ['tag'],
    apply: (place) => rmSync(place.current()),
    named: (place) => place.current(),
  },
  { name: 'small rotten', lost: ['small'], apply: (place) => flip(place.data('small')), named: (p) => p.data('small') },
  {
    name: 'large rotten',
    lost: [],
    lostOnceVerified: ['large'],
    apply: (place) => flip(place.data('large')),
    named: (place) => place.data('large'),
  },
]

/** Neither takes anything away from the repository that it lies in. */
const strays: readonly Damage[] = [
  stray('stray in a repository', ({ folder }) => join(folder, '_stray')),
  stray('stray in layers', ({ folder }) => join(folder, '_layers/stray')),
  stray('stray among layers', ({ folder }) => join(folder, '_layers/sha256/stray')),
  stray('stray in manifests', ({ folder }) => join(folder, '_manifests/stray')),
  stray('stray among tags', ({ folder }) => join(folder, '_manifests/tags/stray')),
  stray('stray in a tag', ({ folder }) => join(folder, '_manifests/tags/v1/stray')),
  stray('stray in blobs', ({ v2 }) => join(v2, 'blobs/stray')),
  stray('stray among blobs', ({ v2 }) => join(v2, 'blobs/sha256/stray')),
  stray('stray among digests', ({ v2, digests }) => join(v2, 'blobs/sha256', digests.small.slice(7, 9), 'stray')),
  temporary('temporary link', ({ folder }) => join(folder, '_manifests/tags/v1/current/link.7f.tmp')),
  temporary('temporary data', (place) => join(dirname(place.data('small')), 'data.7f.tmp')),
]

function stray(name: string, pathOf: (place: Place) => string): Damage {
  return { name, lost: [], named: pathOf, apply: (place) => writeFileSync(pathOf(place), 'stray') }
}

/** Old enough that nobody writes to it any more. */
function temporary(name: string, pathOf: (place: Place) => string): Damage {
  const { apply, ...damage } = stray(name, pathOf)
  const yesterday = Date.now() / 1000 - 86_400
  return {
    ...damage,
    isMended: true,
    apply(place) {
      apply(place)
      utimesSync(pathOf(place), yesterday, yesterday)
    },
  }
}

/** A file stands where a folder belongs, or something that leads out of the volume. */
const wrongKinds: readonly Damage[] = [
  wrongKind('layers', '_layers', ['config', 'small', 'large']),
  wrongKind('manifests', '_manifests', ['tag', 'manifest']),
  wrongKind('revisions', '_manifests/revisions', ['tag', 'manifest']),
  wrongKind('tags', '_manifests/tags', ['tag']),
  wrongKind('a tag', '_manifests/tags/v1', ['tag']),
  wrongKind('current', '_manifests/tags/v1/current', ['tag']),
  wrongKind('history', '_manifests/tags/v1/index', []),
].flat()

function wrongKind(name: string, path: string, lost: readonly Part[]): Damage[] {
  const named = ({ folder }: Place): string => join(folder, path)
  return [
    {
      name: `file as ${name}`,
      lost,
      named,
      apply: (place) => replaceWith(named(place), () => writeFileSync(named(place), 'a file')),
    },
    { name: `symlink as ${name}`, lost, named, apply: (place) => moveOut(named(place), place.outside) },
  ]
}

/** Nothing to be said about: other registries leave it so. */
const leftovers: readonly Damage[] = [
  leftover('empty layer folder', ({ folder }) => mkdirSync(join(folder, '_layers/sha256', 'a'.repeat(64)))),
  leftover('empty revision folder', ({ folder }) =>
    mkdirSync(join(folder, '_manifests/revisions/sha256', 'a'.repeat(64))),
  ),
  leftover('empty tag folder', ({ folder }) => mkdirSync(join(folder, '_manifests/tags/gone'))),
  leftover('empty folders', ({ folder }) => mkdirSync(join(folder, 'below/empty'), { recursive: true })),
  leftover('upload without a date', ({ folder }) => {
    mkdirSync(join(folder, '_uploads/6d0fd2b2-5d3f-4a39-9d5a-6d3e3a3a3a3a/hashstates/sha256'), { recursive: true })
    writeFileSync(join(folder, '_uploads/6d0fd2b2-5d3f-4a39-9d5a-6d3e3a3a3a3a/data'), 'bytes')
  }),
  leftover('empty uploads', ({ folder }) => mkdirSync(join(folder, '_uploads'), { recursive: true })),
  leftover('signatures', (place) => {
    const copied = join(dirname(place.revision()), 'signatures/sha256', 'b'.repeat(64), 'link')
    mkdirSync(dirname(copied), { recursive: true })
    cpSync(place.revision(), copied)
  }),
]

function leftover(name: string, apply: (place: Place) => void): Damage {
  return { name, lost: [], apply }
}

export const damages: readonly Damage[] = [
  ...linkDamages(),
  ...byteDamages(),
  ...otherDamages,
  ...strays,
  ...wrongKinds,
  ...leftovers,
]
