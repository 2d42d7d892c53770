// Images made here: a root file system of one static busybox, a file that no other image has, and an index of two
// platforms. Every image is fresh, so that "the registry has it already" never looks like a transfer that worked.

import { createHash, randomBytes } from 'node:crypto'
import { copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { tool } from '../../support/tools.ts'
import { execute } from './command.ts'

export type Descriptor = {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: { readonly os: string; readonly architecture: string }
}
export type PlatformImage = { readonly architecture: string; readonly manifest: Descriptor; readonly marker: string }
export type Image = {
  readonly index: Descriptor
  /** The first one is for the machine that runs the tests. */
  readonly platforms: readonly [PlatformImage, PlatformImage]
  readonly blobs: ReadonlyMap<string, Buffer>
}

export const hostArchitecture = process.arch === 'x64' ? 'amd64' : process.arch
const otherArchitecture = hostArchitecture === 'amd64' ? 'arm64' : 'amd64'

export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
}

export async function makeImage(folder: string): Promise<Image> {
  const blobs = new Map<string, Buffer>()
  const first = await makePlatform(folder, hostArchitecture, blobs)
  const second = await makePlatform(folder, otherArchitecture, blobs)
  const manifests = [first.manifest, second.manifest]
  const index = keepJson(blobs, mediaTypes.index, { schemaVersion: 2, mediaType: mediaTypes.index, manifests })
  return { index, platforms: [first, second], blobs }
}

/** An OCI layout holding one thing under the name `it`: an index, or the image of one platform. */
export async function writeLayout(image: Image, what: Descriptor, folder: string): Promise<string> {
  const blobFolder = join(folder, 'blobs', 'sha256')
  await mkdir(blobFolder, { recursive: true })
  for (const [digest, bytes] of image.blobs) await writeFile(join(blobFolder, digest.slice('sha256:'.length)), bytes)
  const manifests = [{ ...what, annotations: { 'org.opencontainers.image.ref.name': 'it' } }]
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  return folder
}

/** A layout packed into one file, as `ctr images import` takes it. */
export async function writeLayoutArchive(image: Image, what: Descriptor, folder: string): Promise<string> {
  await writeLayout(image, what, folder)
  return pack(folder, `${folder}.tar`)
}

/** A root file system as one uncompressed tar file, with the random text that stands in its /marker. */
export async function makeRootArchive(folder: string, name: string): Promise<{ path: string; marker: string }> {
  const root = join(folder, `${name}-root`)
  const marker = randomBytes(16).toString('hex')
  await mkdir(join(root, 'bin'), { recursive: true })
  await copyFile(tool('busybox'), join(root, 'bin', 'busybox'))
  await symlink('busybox', join(root, 'bin', 'sh'))
  await writeFile(join(root, 'marker'), marker)
  // Incompressible, and more than one read of any client's buffer.
  await writeFile(join(root, 'ballast'), randomBytes(1 << 20))
  const path = await pack(root, join(folder, `${name}.tar`))
  await rm(root, { recursive: true })
  return { path, marker }
}

async function makePlatform(folder: string, architecture: string, blobs: Map<string, Buffer>): Promise<PlatformImage> {
  const { path, marker } = await makeRootArchive(folder, architecture)
  const tar = await readFile(path)
  const layer = keep(blobs, mediaTypes.layer, gzipSync(tar, { level: 1 }))
  const platform = { os: 'linux', architecture }
  const config = keepJson(blobs, mediaTypes.config, {
    ...platform,
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  })
  const content = { schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: [layer] }
  const manifest = { ...keepJson(blobs, mediaTypes.manifest, content), platform }
  return { architecture, manifest, marker }
}

async function pack(folder: string, target: string): Promise<string> {
  const { code, stderr } = await execute('tar', ['-C', folder, '--owner=0', '--group=0', '-cf', target, '.'])
  if (code !== 0) throw new Error(`tar: ${stderr}`)
  return target
}

function keepJson(blobs: Map<string, Buffer>, mediaType: string, content: unknown): Descriptor {
  return keep(blobs, mediaType, Buffer.from(JSON.stringify(content)))
}

function keep(blobs: Map<string, Buffer>, mediaType: string, bytes: Buffer): Descriptor {
  const digest = digestOf(bytes)
  blobs.set(digest, bytes)
  return { mediaType, digest, size: bytes.length }
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
