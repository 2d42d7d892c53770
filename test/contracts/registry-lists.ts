import assert from 'node:assert/strict'
import { mediaTypes } from '../../oci/media-types.ts'
import type { Page, PageRequest } from '../../oci/page.ts'
import { digestFor, mixedCase, sorted, tagOf } from './facts-tools.ts'
import { caller, imageJson, manifestPush, pushBlob, pushImage } from './push.ts'
import type { RegistryCase } from './registry.ts'
import { failsWith, repositoryOf } from './registry-tools.ts'

/** Every entry, by following `next` from page to page. */
async function walk<Entry>(list: (page: PageRequest) => Promise<Page<Entry>>, limit: number): Promise<Entry[]> {
  const all: Entry[] = []
  for (let request: PageRequest | undefined = { limit }; request; ) {
    const { entries, next }: Page<Entry> = await list(request)
    assert.ok(entries.length <= limit)
    all.push(...entries)
    request = next === undefined ? undefined : { limit, after: next }
  }
  return all
}

export const listCases: Readonly<Record<string, RegistryCase>> = {
  'tags are listed in byte order, in pages of any size': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    await failsWith('repository-unknown', repository.tags.list({ limit: 10 }))
    const { parts, digest } = await pushImage(repository, 'z')
    await repository.manifests.put({ digest }, { ...manifestPush(imageJson(parts)), tags: mixedCase.map(tagOf) })
    for (const limit of [1, 3, mixedCase.length, 100]) {
      assert.deepEqual(await walk(repository.tags.list, limit), sorted(mixedCase))
    }
    assert.deepEqual((await repository.tags.list({ limit: 2, after: 'a' })).entries, ['a-1', 'a.1'])
  },

  'repositories are listed from their first push on, in pages of any size': async (registry) => {
    const names = ['b', 'a', 'a/b', 'a-b', 'c/d/e']
    const catalog = (page: PageRequest) => registry.catalog(page, caller)
    assert.deepEqual(await walk(catalog, 10), [])
    for (const name of names) await pushBlob(repositoryOf(registry, name), Buffer.from('x'))
    for (const limit of [1, 2, 5, 100]) assert.deepEqual(await walk(catalog, limit), sorted(names))
    assert.deepEqual(await registry.search('b', 10, caller), ['a-b', 'a/b', 'b'])
    assert.deepEqual(await registry.search('b', 2, caller), ['a-b', 'a/b'])
  },

  'referrers of a subject are listed, whether it is there or not': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const subject = { mediaType: mediaTypes.imageManifest, digest: digestFor('subject'), size: 7 }
    assert.deepEqual(await repository.referrers.list(subject.digest, { limit: 10 }, []), { entries: [] })
    const annotations = { made: 'by a test' }
    const sbom = await pushImage(repository, 'sbom', 'sbom', { subject, artifactType: 'a/sbom', annotations })
    const signature = await pushImage(repository, 'sig', 'sig', { subject, artifactType: 'a/sig' })
    const described = (image: typeof sbom, more: object) => ({
      mediaType: mediaTypes.imageManifest,
      digest: image.digest,
      size: image.bytes.length,
      ...more,
    })
    const all = [
      described(sbom, { artifactType: 'a/sbom', annotations }),
      described(signature, { artifactType: 'a/sig' }),
    ].sort((a, b) => (a.digest < b.digest ? -1 : 1))
    const list = (types: string[]) => (page: PageRequest) => repository.referrers.list(subject.digest, page, types)
    for (const limit of [1, 2, 10]) assert.deepEqual(await walk(list([]), limit), all)
    assert.deepEqual(await walk(list(['a/sig']), 10), [described(signature, { artifactType: 'a/sig' })])
    assert.deepEqual(await walk(list(['a/none']), 10), [])
    const elsewhere = repositoryOf(registry, 'b').referrers
    assert.deepEqual(await elsewhere.list(subject.digest, { limit: 10 }, []), { entries: [] })
  },

  'a push names its subject, and a referrer that is deleted is no longer listed': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const image = await pushImage(repository, 'subject')
    const subject = { mediaType: mediaTypes.imageManifest, digest: image.digest, size: image.bytes.length }
    const push = manifestPush(imageJson(image.parts, { subject, artifactType: 'a/sig' }))
    const pushed = await repository.manifests.put({ tag: tagOf('sig') }, push)
    assert.equal(pushed.subject, image.digest)
    await repository.manifests.delete({ digest: image.digest })
    assert.equal((await repository.referrers.list(image.digest, { limit: 10 }, [])).entries.length, 1)
    await repository.manifests.delete({ digest: pushed.digest })
    assert.deepEqual((await repository.referrers.list(image.digest, { limit: 10 }, [])).entries, [])
  },

  'a page of referrers ends before a client would stop reading it': async (registry) => {
    const repository = repositoryOf(registry, 'a')
    const subject = { mediaType: mediaTypes.imageManifest, digest: digestFor('subject'), size: 7 }
    const annotations = { large: 'x'.repeat(1_500_000) }
    for (const seed of ['1', '2', '3', '4']) await pushImage(repository, seed, seed, { subject, annotations })
    const list = (page: PageRequest) => repository.referrers.list(subject.digest, page, [])
    const first = await list({ limit: 100 })
    assert.ok(JSON.stringify(first.entries).length < 4_393_216)
    assert.ok(first.next !== undefined)
    assert.equal((await walk(list, 100)).length, 4)
  },
}
