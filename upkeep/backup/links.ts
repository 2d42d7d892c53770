/** Every file that repeats SQL, as the copied database says; what an older backup had beside those goes. */
import type { ListedRepository, RevisionRow } from '../../metadata/facts-upkeep.ts'
import { Failure } from '../../oci/failure.ts'
import { readManifest } from '../../oci/manifest.ts'
import { linkContent } from '../../registry/settle.ts'
import type { ObjectKey } from '../../storage/driver.ts'
import { layout, parseLinkKey } from '../../storage/layout.ts'
import { inBatches, mapSlices, othersTurn } from '../adopt/portions.ts'
import { keysInSql, pagesOf } from '../link-keys.ts'
import type { Flusher } from './flush.ts'
import type { Copying } from './parts.ts'

const pageSize = 500
const atOnce = 8
const places = [layout.repositories, layout.mediaTypes, layout.trashes]

/** Returns how many there are. */
export async function writeLinks(copying: Copying, flusher: Flusher): Promise<number> {
  const { copy, signal } = copying
  await removeStale(copying)
  let links = 0
  const write = async (keys: readonly ObjectKey[]) => {
    signal?.throwIfAborted()
    for (const key of keys) if (await writeLink(copying, key)) await flusher.wrote(key)
    links += keys.length
    copying.tell({ phase: 'links', done: links, unit: 'keys' })
    await othersTurn()
  }
  const adopted = (after: ListedRepository | undefined) =>
    copy.read.adoption.inState('adopted', after?.name ?? '', pageSize)
  for await (const page of pagesOf<ListedRepository, ListedRepository>(adopted, (each) => each)) {
    for (const { id, name } of page) {
      for await (const keys of keysInSql(copy, name, id)) await write(keys)
      for await (const keys of typesOf(copying, { id, name })) await write(keys)
    }
  }
  for (let after: { deletedAt: number; id: string } | undefined; ; ) {
    const rows = await copy.read.trash.page(after as never, Number.MAX_SAFE_INTEGER, pageSize)
    await write(rows.map(({ id }) => layout.trash(id)))
    after = rows.at(-1)
    if (!after) return links
  }
}

async function removeStale({ target, copy, signal }: Copying): Promise<void> {
  for (const place of places) {
    for await (const batch of inBatches(target.list(place), pageSize)) {
      signal?.throwIfAborted()
      for (const { key } of batch) {
        const fact = parseLinkKey(key)
        if (fact && (await linkContent(copy.read, fact)) !== undefined) continue
        await target.delete(key, { durable: false })
      }
      await othersTurn()
    }
  }
}

/** Says whether it was written: most of them are as they were. */
async function writeLink({ target, copy, doubted }: Copying, key: ObjectKey): Promise<boolean> {
  const fact = parseLinkKey(key)
  const content = fact && (await linkContent(copy.read, fact))
  if (content === undefined) return false
  const bytes = Buffer.from(content)
  const before = doubted ? undefined : await target.open(key)
  if (before) {
    try {
      if (before.size === bytes.length && bytes.equals(await before.read())) return false
    } finally {
      await before.close()
    }
  }
  await target.write(key, bytes, { durable: false })
  return true
}

/** Of manifests whose bytes do not say what they are. */
async function* typesOf(copying: Copying, { id, name }: ListedRepository): AsyncIterable<readonly ObjectKey[]> {
  const { revisions } = copying.copy.read.adoption
  const page = (after: string | undefined) => revisions(id, after ?? '', pageSize)
  for await (const rows of pagesOf<RevisionRow, string>(page, (row) => row.digest)) {
    const needed = await mapSlices(rows, (row) => isOtherwise(copying, row), atOnce)
    yield rows.filter((_, at) => needed[at]).map(({ digest }) => layout.mediaType(name, digest))
  }
}

async function isOtherwise({ parts }: Copying, { digest, mediaType }: RevisionRow): Promise<boolean> {
  const bytes = await parts.blobs.readSmall(digest)
  if (!bytes) return false
  try {
    return readManifest(bytes, '').impliedType !== mediaType
  } catch (error) {
    if (error instanceof Failure) return true
    throw error
  }
}
