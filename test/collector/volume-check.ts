/** A volume at rest, read as another registry would read it: files and nothing else. */
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

const v2 = 'docker/registry/v2'
const blobOf = (digest: string): string => {
  const [algorithm, hex = ''] = digest.split(':')
  return `${v2}/blobs/${algorithm}/${hex.slice(0, 2)}/${hex}/data`
}

async function filesIn(root: string, folder: string): Promise<string[]> {
  const found = await readdir(join(root, folder), { recursive: true, withFileTypes: true }).catch(() => [])
  return found.filter((each) => each.isFile()).map((each) => relative(root, join(each.parentPath, each.name)))
}

/** Links that lead to nothing, and manifests that lack something. */
export async function danglingIn(root: string): Promise<string[]> {
  const blobs = new Set(await filesIn(root, `${v2}/blobs`))
  const broken: string[] = []
  for (const path of await filesIn(root, `${v2}/repositories`)) {
    // What a tag once pointed to may be gone: nobody pulls by that.
    if (!path.endsWith('/link') || /_manifests\/tags\/[^/]+\/index\//.test(path)) continue
    const digest = await readFile(join(root, path), 'utf8')
    if (!blobs.has(blobOf(digest))) broken.push(`${path} leads to nothing`)
    else if (path.includes('/revisions/')) {
      for (const each of await referencesIn(root, digest)) {
        if (!blobs.has(blobOf(each))) broken.push(`${path}: its manifest lacks ${each}`)
      }
    }
  }
  return broken
}

/** Bytes that no manifest needs. */
export async function unusedIn(root: string): Promise<string[]> {
  const used = new Set<string>()
  for (const path of await filesIn(root, `${v2}/repositories`)) {
    if (!path.includes('/revisions/')) continue
    const digest = await readFile(join(root, path), 'utf8')
    for (const each of [digest, ...(await referencesIn(root, digest))]) used.add(blobOf(each))
  }
  const blobs = await filesIn(root, `${v2}/blobs`)
  return blobs.filter((path) => !used.has(path)).map((path) => `${path} is needed by nothing`)
}

async function referencesIn(root: string, digest: string): Promise<string[]> {
  const text = await readFile(join(root, blobOf(digest)), 'utf8').catch(() => '{}')
  const { config, layers = [], manifests = [] } = JSON.parse(text)
  return [config, ...layers, ...manifests].flatMap((each: { digest: string } | undefined) => each?.digest ?? [])
}
