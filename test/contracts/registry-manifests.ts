import assert from 'node:assert/strict'
import { digestOf } from '../../oci/digest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { digestFor, sorted, tagOf } from './facts-tools.ts'
import { imageJson, manifestPush, partsOf, pushBlob, pushImage } from './push.ts'
import type { RegistryCase } from './registry.ts'
import { failsWith, pulled, repositoryOf } from './registry-tools.ts'

const indexOf = (...children: readonly { readonly digest: string; readonly size: number }[]) =>
  manifestPush(
    {
      schemaVersion: 2,
      manifests: children.map((child) => ({ mediaType: mediaTypes.imageManifest, ...child })),
    },
    { contentType: mediaTypes.imageIndex },
  )

export const manifestCases: Readonly<Record<string, RegistryCase>> = {
  'a pushed manifest is pulled as it was, by tag and by digest': async (registry) => {
    const repository = repositoryOf(registry, 'library/alpine')
    const { digest, bytes } = await pushImage(repository, 'latest')
    for (const reference of [{ tag: tagOf('latest') }, { digest }]) {
      const found = await repository.manifests.get(reference)
      assert.deepEqual([found.digest, found.mediaType], [digest, mediaTypes.imageManifest])
      assert.ok(Buffer.from(found.bytes).equals(bytes))
    }
  },

  'a manifest that is not there is unknown, and so is a repository': async (registry) => {
    const repository = repositoryOf(registry, 'here')
    await pushImage(repository, 'latest')
    for (const reference of [{ tag: tagOf('other') }, { digest: digestFor('other') }]) {
      await failsWith('manifest-unknown', repository.manifests.get(reference))
      await failsWith('manifest-unknown', repository.manifests.delete(reference))
      const elsewhere = repositoryOf(registry, 'elsewhere').manifests
      await failsWith('repository-unknown', elsewhere.get(reference))
      await failsWith('repository-unknown', elsewhere.delete(reference))
    }
  },

  'a manifest whose references are missing is refused, and nothing of it stays': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const parts = partsOf('x')
    const config = await pushBlob(repository, parts.config)
    const push = manifestPush(imageJson(parts))
    await failsWith('manifest-references-unknown', repository.manifests.put({ tag: tagOf('v1') }, push), {
      missing: [digestOf(parts.layer)],
    })
    await failsWith('manifest-unknown', repository.manifests.get({ tag: tagOf('v1') }))
    await failsWith('manifest-unknown', repository.manifests.get({ digest: digestOf(push.bytes) }))
    assert.ok(await repository.blobs.stat(config))
    await pushBlob(repositoryOf(registry, 'b'), parts.layer)
    await failsWith('manifest-references-unknown', repository.manifests.put({ tag: tagOf('v1') }, push))
    await pushBlob(repository, parts.layer)
    await repository.manifests.put({ tag: tagOf('v1') }, push)
  },

  'a manifest is put under the digest of its bytes or not at all': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const parts = partsOf('x')
    await Promise.all([pushBlob(repository, parts.config), pushBlob(repository, parts.layer)])
    const push = manifestPush(imageJson(parts))
    const long = digestOf(push.bytes, 'sha512')
    await failsWith('digest-mismatch', repository.manifests.put({ digest: digestFor('other') }, push))
    assert.deepEqual(await repository.manifests.put({ digest: long }, push), { digest: long, tags: [] })
    assert.equal((await repository.manifests.get({ digest: long })).digest, long)
    await failsWith('manifest-unknown', repository.manifests.get({ digest: digestOf(push.bytes) }))
  },

  'an index needs its children, manifests or blobs': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const child = await pushImage(repository, 'child')
    const blob = await pushBlob(repository, Buffer.from('a cached layer'))
    const reference = { tag: tagOf('index') }
    const missing = { digest: digestFor('missing'), size: 1 }
    const present = { digest: child.digest, size: child.bytes.length }
    await failsWith('manifest-references-unknown', repository.manifests.put(reference, indexOf(present, missing)))
    const push = indexOf(present, { digest: blob, size: 14 })
    const { digest } = await repository.manifests.put(reference, push)
    assert.equal((await repository.manifests.get({ digest })).mediaType, mediaTypes.imageIndex)
    await failsWith('content-in-use', repository.manifests.delete({ digest: child.digest }), {
      digest: child.digest,
      by: [digest],
    })
    await failsWith('content-in-use', repository.blobs.delete(blob), { digest: blob, by: [digest] })
    await repository.manifests.delete(reference)
    await failsWith('content-in-use', repository.manifests.delete({ digest: child.digest }))
    await repository.manifests.delete({ digest })
    await repository.manifests.delete({ digest: child.digest })
    await repository.blobs.delete(blob)
  },

  'one push sets several tags, and a tag moves': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const first = await pushImage(repository, 'v1')
    const push = { ...manifestPush(imageJson(first.parts)), tags: [tagOf('v1.0'), tagOf('v1'), tagOf('v1.0')] }
    const { tags } = await repository.manifests.put({ digest: first.digest }, push)
    assert.deepEqual(sorted(tags), ['v1', 'v1.0'])
    const second = await pushImage(repository, 'v1', 'another')
    assert.equal((await repository.manifests.get({ tag: tagOf('v1') })).digest, second.digest)
    assert.equal((await repository.manifests.get({ tag: tagOf('v1.0') })).digest, first.digest)
  },

  'a push with a condition goes through only where it holds': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const tag = tagOf('latest')
    const first = await pushImage(repository, 'first')
    const second = await pushImage(repository, 'second')
    const put = (from: typeof first, condition: object) =>
      repository.manifests.put({ tag }, { ...manifestPush(imageJson(from.parts)), ...condition })
    const matches = (...digests: string[]) => ({ condition: { kind: 'matches', digests } as const })
    const absent = { condition: { kind: 'absent' } as const }
    await failsWith('precondition-failed', put(first, matches('*')), { header: 'If-Match' })
    await put(first, absent)
    await failsWith('precondition-failed', put(second, absent), { header: 'If-None-Match' })
    await failsWith('precondition-failed', put(second, matches(second.digest)))
    assert.equal((await repository.manifests.get({ tag })).digest, first.digest)
    await put(second, matches(second.digest, first.digest))
    await put(first, matches('*'))
    assert.equal((await repository.manifests.get({ tag })).digest, first.digest)
  },

  'of many that push a tag only if it is absent, one wins': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const images = await Promise.all(Array.from({ length: 8 }, (_, n) => pushImage(repository, `own-${n}`)))
    const condition = { kind: 'absent' } as const
    const tag = tagOf('only')
    const outcomes = await Promise.allSettled(
      images.map(({ parts }) => repository.manifests.put({ tag }, { ...manifestPush(imageJson(parts)), condition })),
    )
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    assert.equal(won.length, 1)
    assert.equal((await repository.manifests.get({ tag })).digest, won[0]?.value.digest)
  },

  'deleting a tag leaves the manifest, deleting the manifest takes its tags': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const image = await pushImage(repository, 'one')
    await repository.manifests.put({ tag: tagOf('two') }, manifestPush(imageJson(image.parts)))
    await repository.manifests.delete({ tag: tagOf('one') })
    await failsWith('manifest-unknown', repository.manifests.get({ tag: tagOf('one') }))
    assert.ok(await repository.manifests.get({ digest: image.digest }))
    await failsWith('content-in-use', repository.blobs.delete(image.layer))
    await repository.manifests.delete({ digest: image.digest })
    await failsWith('manifest-unknown', repository.manifests.get({ tag: tagOf('two') }))
    await failsWith('manifest-unknown', repository.manifests.get({ digest: image.digest }))
    assert.deepEqual((await repository.tags.list({ limit: 10 })).entries, [])
    assert.ok(await pulled(repository.blobs.open(image.layer)))
    await repository.blobs.delete(image.layer)
  },

  'what is no manifest is refused': async (registry) => {
    const { manifests } = repositoryOf(registry, 'a')
    const reference = { tag: tagOf('v1') }
    await failsWith('manifest-invalid', manifests.put(reference, manifestPush([])))
    const schema1 = manifestPush({ schemaVersion: 1 }, { contentType: mediaTypes.dockerSchema1 })
    await failsWith('manifest-schema1', manifests.put(reference, schema1))
    await failsWith('repository-unknown', manifests.get(reference))
  },
}
