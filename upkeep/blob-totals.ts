/** All blobs together. One statement over a million of them would stop everybody else for a third of a second. */
import type { FactQueries } from '../metadata/facts.ts'
import { othersTurn } from './adopt/portions.ts'

const pageSize = 2000

export interface BlobTotals {
  readonly blobs: number
  readonly bytes: number
}

export async function sumBlobs(
  { collection }: Pick<FactQueries, 'collection'>,
  signal?: AbortSignal,
): Promise<BlobTotals> {
  let [blobs, bytes] = [0, 0]
  for (let after = ''; ; ) {
    signal?.throwIfAborted()
    const page = await collection.page(after, pageSize)
    blobs += page.length
    for (const { size } of page) bytes += size
    const last = page.at(-1)
    if (!last) return { blobs, bytes }
    after = last.digest
    await othersTurn()
  }
}
