/** What is read back from distribution's layout, as old registries and crashes leave it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { digestOf, hexOf } from '../../oci/digest.ts'
import { layout } from '../../storage/layout.ts'
import { type Found, readLink, scanRepository } from '../../storage/repository-tree.ts'
import { nameOf, tagOf } from '../contracts/facts-tools.ts'
import {
  base,
  byText,
  damages,
  drivers,
  found,
  latest,
  name,
  one,
  put,
  sha512,
  sorted,
  three,
  two,
} from './found-tools.ts'

for (const [kind, open] of Object.entries(drivers)) {
  describe(`a repository that is read back from ${kind}`, () => {
    test('has the layers, manifests, tags and history that its links say, with their dates', async (t) => {
      const driver = open(t)
      for (const digest of [one, two]) await put(driver, layout.layer(name, digest), digest)
      await put(driver, layout.revision(name, three), three)
      await put(driver, layout.revision(name, sha512), sha512)
      await put(driver, layout.tagCurrent(name, latest), three)
      await put(driver, layout.tagIndex(name, latest, three), three)
      await put(driver, layout.tagCurrent(name, tagOf('_v1')), two)
      await put(driver, layout.layer(nameOf('team/app/below'), three), three)
      assert.deepEqual(
        await found(driver),
        sorted(
          { kind: 'layer', digest: one },
          { kind: 'layer', digest: two },
          { kind: 'revision', digest: three },
          { kind: 'revision', digest: sha512 },
          { kind: 'tag', tag: 'latest', digest: three, history: [three] },
          { kind: 'tag', tag: '_v1', digest: two, history: [] },
        ),
      )
      const dates: unknown[] = []
      for await (const each of scanRepository(driver, name)) dates.push('modifiedAt' in each && each.modifiedAt)
      assert.equal(dates.length, 6)
      assert.ok(dates.every((date) => typeof date === 'number' && Math.abs(date - Date.now()) < 600_000))
    })

    test('is nothing where there is none', async (t) => {
      assert.deepEqual(await found(open(t)), [])
    })

    test('forgives white space around a digest', async (t) => {
      const driver = open(t)
      await put(driver, layout.layer(name, one), `${one}\n`)
      assert.deepEqual(await found(driver), [{ kind: 'layer', digest: one }])
    })

    test('has an alias where the sha512 of a layer leads to its sha256, and damage the other way', async (t) => {
      const driver = open(t)
      await put(driver, layout.layer(name, sha512), one)
      assert.deepEqual(await found(driver), [{ kind: 'alias', from: sha512, to: one }])
      await put(driver, layout.layer(name, sha512), sha512)
      await put(driver, layout.layer(name, one), sha512)
      await put(driver, layout.revision(name, sha512), one)
      assert.deepEqual(await damages(driver), {
        [`_layers/sha256/${hexOf(one)}/link`]: `layer: holds ${sha512} where ${one} was expected`,
        [`_manifests/revisions/sha512/${hexOf(sha512)}/link`]: `revision: holds ${one} where ${sha512} was expected`,
      })
    })

    test('names links that are empty, zeroed, malformed, too long or of another digest', async (t) => {
      const driver = open(t)
      const contents = {
        empty: ['', 'is empty'],
        blank: [' \n', 'holds white space alone'],
        zeroed: ['\0'.repeat(71), 'holds 71 zero bytes instead of a digest'],
        half: [one.slice(0, 20), `holds "${one.slice(0, 20)}", which is no digest`],
        other: ['md5:abc', 'holds "md5:abc", which is no digest'],
        long: ['x'.repeat(301), 'holds 301 bytes, too many for a digest'],
        excerpt: ['y'.repeat(300), `holds "${'y'.repeat(80)}…", which is no digest`],
        swapped: [two, undefined],
      } as const
      const expected: Record<string, string> = {}
      for (const [label, [content, detail]] of Object.entries(contents)) {
        const digest = digestOf(Buffer.from(label))
        const said = detail ?? `holds ${two} where ${digest} was expected`
        for (const [kind, key] of [
          ['layer', layout.layer(name, digest)],
          ['revision', layout.revision(name, digest)],
          ['tag history', layout.tagIndex(name, tagOf(label), digest)],
        ] as const) {
          await put(driver, key, content)
          expected[key.slice(base.length + 1)] = `${kind}: ${said}`
        }
        await put(driver, layout.tagCurrent(name, tagOf(label)), content)
        if (detail) expected[layout.tagCurrent(name, tagOf(label)).slice(base.length + 1)] = `tag: ${detail}`
      }
      assert.deepEqual(await damages(driver), expected)
      assert.deepEqual(await found(driver).then((all) => all.filter((each) => (each as Found).kind !== 'damaged')), [
        { kind: 'tag', tag: 'swapped', digest: two, history: [] },
      ])
    })

    test('tells damage with the digest or tag that it is about', async (t) => {
      const driver = open(t)
      await put(driver, layout.revision(name, one), '')
      await put(driver, layout.tagCurrent(name, latest), '')
      await put(driver, layout.tagIndex(name, latest, two), '')
      const about: unknown[] = []
      for await (const each of scanRepository(driver, name)) {
        if (each.kind === 'damaged') about.push([each.damage.kind, each.damage.digest, each.damage.tag])
      }
      const expected = [
        ['revision', one, undefined],
        ['tag', undefined, latest],
        ['tag history', two, latest],
      ]
      assert.deepEqual(about.sort(byText), expected.sort(byText))
    })

    test('has no tag where a tag has a history but points to nothing', async (t) => {
      const driver = open(t)
      await put(driver, layout.tagIndex(name, latest, one), one)
      await put(driver, layout.tagIndex(name, tagOf('torn'), one), '')
      const detail = 'tag: is missing: the tag has a history, but points to nothing'
      assert.deepEqual(await damages(driver), {
        '_manifests/tags/latest/current/link': detail,
        '_manifests/tags/torn/current/link': detail,
        [`_manifests/tags/torn/index/sha256/${hexOf(one)}/link`]: 'tag history: is empty',
      })
    })

    test('names what has no place in the layout', async (t) => {
      const driver = open(t)
      const hex = hexOf(one)
      const within = 'has no place here, where only'
      const torn = 'is a temporary file whose writing did not end'
      const strays: readonly (readonly [stray: string, below: string, detail: string])[] = [
        ['_file', '', 'is a file where only a folder may be'],
        ['_layers/file.tmp', '', torn],
        ['_layers/sha256/file', '', 'is a file where only the folder of a digest may be'],
        [`_layers/sha256/${hex}/link.tmp`, '', torn],
        [`_layers/sha256/${hex}/more`, '/x', `${within} a link file may be`],
        ['_manifests/file', '', 'is a file where only the folder of revisions or of tags may be'],
        ['_manifests/folder', '/x', `${within} the folder of revisions or of tags may be`],
        ['_manifests/revisions/md5', '/abc/link', `${within} the folder of an algorithm may be`],
        ['_manifests/revisions/sha256/abc', '/link', `${within} the folder of a digest may be`],
        ['_manifests/tags/file', '', 'is a file where only the folder of a tag may be'],
        ['_manifests/tags/-bad', '/current/link', `${within} the folder of a tag may be`],
        ['_manifests/tags/latest/other', '', 'is a file where only what a tag points to, and its history, may be'],
        ['_manifests/tags/latest/current/link.5b1f.tmp', '', torn],
        ['_uploads/file', '', 'is a file where only the folder of an upload may be'],
      ]
      const expected: Record<string, string> = {}
      for (const [stray, below, detail] of strays) {
        await put(driver, `${base}/${stray}${below}`, 'x')
        expected[stray] = `stray: ${detail}`
      }
      await put(driver, layout.layer(name, one), one)
      await put(driver, layout.tagCurrent(name, latest), two)
      assert.deepEqual(await damages(driver), expected)
      const facts = (await found(driver)).filter((each) => (each as Found).kind !== 'damaged')
      assert.deepEqual(facts, [
        { kind: 'layer', digest: one },
        { kind: 'tag', tag: 'latest', digest: two, history: [] },
      ])
    })

    test('passes over what belongs to others in silence', async (t) => {
      const driver = open(t)
      await put(driver, `${base}/_layers/tarsum.dev+sha256/abc/link`, 'tarsum.dev+sha256:abc')
      await put(driver, `${base}/_layers/tarsum/v1/sha256/abc/link`, 'tarsum.v1+sha256:abc')
      await put(driver, `${base}/_manifests/revisions/sha256/${hexOf(one)}/signatures/sha256/abc/link`, 'x')
      await put(driver, `${base}/_manifests/_other/x`, 'x')
      await put(driver, `${base}/_berth/x`, 'x')
      await put(driver, layout.revision(name, one), one)
      assert.deepEqual(await found(driver), [{ kind: 'revision', digest: one }])
    })

    test('has the uploads that another registry left, with the date where there is one', async (t) => {
      const driver = open(t)
      const uploads = layout.legacyUploads(name)
      await put(driver, `${uploads}/a/startedat`, '2024-05-06T07:08:09Z')
      await put(driver, `${uploads}/a/data`, 'bytes')
      await put(driver, `${uploads}/b/startedat`, 'yesterday')
      await put(driver, `${uploads}/c/data`, 'bytes')
      await put(driver, `${uploads}/d/startedat`, '2'.repeat(1000))
      assert.deepEqual(await found(driver), [
        { kind: 'upload', id: 'a', startedAt: Date.UTC(2024, 4, 6, 7, 8, 9) },
        { kind: 'upload', id: 'b' },
        { kind: 'upload', id: 'c' },
        { kind: 'upload', id: 'd' },
      ])
    })

    test('is read to its end also where it is large, and can be left early', async (t) => {
      const driver = open(t)
      const digests = Array.from({ length: 300 }, (_, n) => digestOf(Buffer.from(`layer ${n}`)))
      for (const digest of digests) {
        await driver.write(layout.layer(name, digest), Buffer.from(digest), { durable: false })
        await driver.write(layout.tagIndex(name, latest, digest), Buffer.from(digest), { durable: false })
      }
      await put(driver, layout.tagCurrent(name, latest), one)
      for await (const _ of scanRepository(driver, name)) break
      const all = (await found(driver)) as Found[]
      assert.deepEqual(
        all.flatMap((each) => (each.kind === 'layer' ? each.digest : [])),
        digests.toSorted(),
      )
      const tag = all.find((each) => each.kind === 'tag')
      assert.deepEqual(tag?.history.toSorted(), digests.toSorted())
    })
  })

  describe(`a single link in ${kind}`, () => {
    test('is its digest, or nothing, or damaged', async (t) => {
      const driver = open(t)
      const key = layout.tagCurrent(name, latest)
      assert.equal(await readLink(driver, key), undefined)
      await put(driver, key, one)
      assert.equal(await readLink(driver, key), one)
      for (const content of ['', 'x', 'x'.repeat(301), `${one}0`]) {
        await put(driver, key, content)
        assert.equal(await readLink(driver, key), 'damaged')
      }
      await put(driver, layout.revision(name, one).replace(/link$/, 'link/below'), 'x')
      assert.equal(await readLink(driver, layout.revision(name, one)), 'damaged')
    })
  })
}
