import assert from 'node:assert/strict'
import { type FailureName, isFailure } from '../../oci/failure.ts'
import type { OpenBlob, Registry, Repository } from '../../registry/registry.ts'
import { nameOf } from './facts-tools.ts'
import { caller } from './push.ts'
import { collector } from './storage-tools.ts'

export const repositoryOf = (registry: Registry, name: string): Repository => registry.repository(nameOf(name), caller)

export async function failsWith(name: FailureName, work: Promise<unknown>, detail?: object): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(isFailure(error, name), `${name} was expected, not ${error instanceof Error ? error.stack : error}`)
    if (detail) assert.deepEqual(error.detail, detail)
    return true
  })
}

/** Everything the blob sends, and closes it. */
export async function pulled(opening: Promise<OpenBlob>): Promise<Buffer> {
  const blob = await opening
  try {
    const { sink, bytes } = collector()
    await blob.send(sink)
    assert.equal(bytes().length, blob.size)
    return bytes()
  } finally {
    await blob.close()
  }
}
