import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type FailureName, isFailure } from '../../oci/failure.ts'
import { allReferences, type Manifest, readManifest, requiredReferences } from '../../oci/manifest.ts'
import { mediaTypes } from '../../oci/media-types.ts'
import { digestFor } from '../contracts/facts-tools.ts'

const { imageManifest, imageIndex, dockerManifest, dockerManifestList } = mediaTypes
const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const foreignType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'

const descriptor = (text: string, more: object = {}) => ({
  mediaType: layerType,
  digest: digestFor(text),
  size: text.length,
  ...more,
})

const image = (more: object = {}) => ({
  schemaVersion: 2,
  config: descriptor('config', { mediaType: 'application/vnd.oci.image.config.v1+json' }),
  layers: [descriptor('layer')],
  ...more,
})
const index = (more: object = {}) => ({ schemaVersion: 2, manifests: [descriptor('child')], ...more })

const read = (json: unknown, type = ''): Manifest =>
  readManifest(Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)), type)

function refused(json: unknown, reason: RegExp, type = '', name: FailureName = 'manifest-invalid'): void {
  assert.throws(
    () => read(json, type),
    (error) => {
      assert.ok(isFailure(error, name), `${error}`)
      assert.match(JSON.stringify(error.detail), reason)
      return true
    },
    JSON.stringify(json),
  )
}

describe('a manifest', () => {
  test('is of the type that it or its sender says', () => {
    const types = [imageManifest, dockerManifest]
    for (const type of types) {
      assert.equal(read(image(), type).mediaType, type)
      assert.equal(read(image({ mediaType: type })).mediaType, type)
      assert.equal(read(image({ mediaType: type }), `${type}; charset=utf-8`).mediaType, type)
      assert.equal(read(image({ mediaType: type }), type).kind, 'image')
    }
    for (const type of [imageIndex, dockerManifestList]) {
      assert.equal(read(index({ mediaType: type }), type).kind, 'index')
    }
    assert.equal(read(image()).mediaType, imageManifest)
    assert.equal(read(index()).mediaType, imageIndex)
  })

  test('of another type than its sender says is refused', () => {
    refused(image({ mediaType: imageManifest }), /differs from the Content-Type/, dockerManifest)
    refused(index({ mediaType: imageIndex }), /differs from the Content-Type/, imageManifest)
    refused(image(), /not a manifest's media type/, 'text/plain')
    refused(image({ mediaType: 'application/json' }), /not a manifest's media type/)
    refused(image({ mediaType: 5 }), /mediaType must be a string/)
    refused(image(), /an image index must have manifests/, imageIndex)
    refused(index(), /an image manifest must have a config/, imageManifest)
  })

  test('of schema 1 is refused by name', () => {
    for (const type of [mediaTypes.dockerSchema1, mediaTypes.dockerSchema1Signed]) {
      refused({ schemaVersion: 1 }, /manifest.v1/, type, 'manifest-schema1')
    }
    refused({ schemaVersion: 1, fsLayers: [] }, /manifest.v1/, '', 'manifest-schema1')
  })

  test('that two readers would understand differently is refused', () => {
    refused({ ...image(), ...index() }, /both .*manifests.* and .*config/)
    refused({ ...index(), layers: [] }, /both .*manifests.* and .*layers/)
    refused({ ...index(), fsLayers: [] }, /both .*manifests.* and .*fsLayers/)
    for (const name of ['Layers', 'CONFIG', 'mediatype', 'SchemaVersion', 'Manifests', 'layer\u017F', 'SUBJECT']) {
      refused(image({ [name]: [] }), /must be/)
    }
    refused('{"schemaVersion":2,"schemaVersion":2}', /occurs twice/)
  })

  test('with a descriptor that two readers would understand differently is refused', () => {
    for (const name of ['Digest', 'DIGEST', 'mediatype', 'Size', '\u017Fize', 'URLs']) {
      const twofold = descriptor('layer', { [name]: digestFor('other') })
      refused(image({ layers: [twofold] }), /must be/)
      refused(image({ config: twofold }), /must be/)
      refused(image({ subject: twofold }), /must be/)
      refused(index({ manifests: [twofold] }), /must be/)
    }
  })

  test('that is no manifest is refused', () => {
    refused('', /not JSON/)
    refused('[]', /not a JSON object/)
    refused('null', /not a JSON object/)
    refused({}, /schemaVersion/)
    refused({ schemaVersion: '2' }, /schemaVersion/)
    refused(image({ layers: {} }), /layers must be a list/)
    refused(image({ layers: [5] }), /layers\[0\] must be a descriptor/)
    refused(image({ config: null }), /config must be a descriptor/)
    refused(image({ config: [] }), /config must be a descriptor/)
    refused(image({ annotations: { a: 1 } }), /annotations must map/)
    refused(image({ artifactType: 7 }), /artifactType must be a string/)
    refused(image({ subject: {} }), /subject.digest/)
  })

  test('with a broken descriptor is refused with its place', () => {
    const broken = [
      [{ digest: 'sha256:abc' }, /layers\[1\].digest/],
      [{ digest: '' }, /layers\[1\].digest/],
      [{ digest: 5 }, /layers\[1\].digest/],
      [{ size: -1 }, /layers\[1\].size/],
      [{ size: 1.5 }, /layers\[1\].size/],
      [{ size: '5' }, /layers\[1\].size/],
      [{ size: 2 ** 53 }, /layers\[1\].size/],
      [{ mediaType: null }, /layers\[1\].mediaType/],
      [{ annotations: [] }, /layers\[1\].annotations/],
    ] as const
    for (const [more, where] of broken) refused(image({ layers: [descriptor('a'), descriptor('b', more)] }), where)
  })

  test('may list 5000 descriptors, and no more', () => {
    const list = (count: number) => Array.from({ length: count }, () => descriptor('x'))
    assert.equal(read(image({ layers: list(5000) })).members.length, 5000)
    assert.equal(read(index({ manifests: list(5000) })).members.length, 5000)
    refused(image({ layers: list(5001) }), /layers has 5001 descriptors: at most 5000/)
    refused(index({ manifests: list(5001) }), /manifests has 5001 descriptors: at most 5000/)
  })

  test('is refused without repeating at length what it says', () => {
    const long = 'x'.repeat(100_000)
    refused(image({ mediaType: long }), /^.{0,400}$/)
    refused(image({ mediaType: long }), /^.{0,800}$/, imageManifest)
    refused(image(), /^.{0,400}$/, long)
    refused(image({ mediaType: imageManifest }), /^.{0,800}$/, long)
  })

  test('may hold what a writer in Go leaves empty', () => {
    const empty = image({ layers: null, annotations: null, subject: null, artifactType: null, mediaType: '' })
    assert.deepEqual(read(empty).members, [])
    assert.equal(read(empty).subject, undefined)
    assert.deepEqual(read(index({ manifests: null })).members, [])
    assert.deepEqual(read(index({ manifests: [] })).members, [])
    assert.equal(read(image({ somethingNew: { x: 1 } })).kind, 'image')
  })

  test('has the artifact type that the specification derives', () => {
    const config = descriptor('config', { mediaType: 'application/vnd.example.config' })
    assert.equal(read(image({ config })).artifactType, 'application/vnd.example.config')
    assert.equal(read(image({ config, artifactType: 'a/b' })).artifactType, 'a/b')
    assert.equal(read(image({ config, artifactType: '' })).artifactType, 'application/vnd.example.config')
    assert.equal(read(index()).artifactType, undefined)
    assert.equal(read(index({ artifactType: 'a/b' })).artifactType, 'a/b')
  })
})

const member = fc.record({
  text: fc.constantFrom(...Array.from({ length: 8 }, (_, n) => `member ${n}`)),
  foreign: fc.boolean(),
  digest: fc.option(fc.constantFrom('blake3:00ff', 'sha384:abcd'), { freq: 8, nil: undefined }),
  platform: fc.option(fc.record({ os: fc.string(), architecture: fc.string() }), { nil: undefined }),
})
const mix = fc.record({
  kind: fc.constantFrom('image' as const, 'index' as const),
  docker: fc.boolean(),
  typed: fc.boolean(),
  members: fc.array(member, { maxLength: 12 }),
  subject: fc.option(fc.string(), { nil: undefined }),
  annotations: fc.option(fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), { nil: undefined }),
})

describe('of any mix of parts, what is read', () => {
  test('names every reference once, and requires all but the foreign ones and the subject', () => {
    const typeOf = { image: [imageManifest, dockerManifest], index: [imageIndex, dockerManifestList] } as const
    fc.assert(
      fc.property(mix, ({ kind, docker, typed, members, subject, annotations }) => {
        const type = typeOf[kind][docker ? 1 : 0]
        const parts = members.map(({ text, foreign, digest, platform }) =>
          descriptor(text, { mediaType: foreign ? foreignType : layerType, ...(digest && { digest }), platform }),
        )
        const common = {
          ...(typed && { mediaType: type }),
          ...(subject !== undefined && { subject: descriptor(subject) }),
          annotations,
        }
        const manifest = read(
          kind === 'image' ? image({ layers: parts, ...common }) : index({ manifests: parts, ...common }),
          type,
        )
        const config = kind === 'image' ? [digestFor('config')] : []
        const local = parts.filter(({ mediaType }) => mediaType === layerType)
        assert.equal(manifest.mediaType, type)
        assert.deepEqual(new Set(allReferences(manifest)), new Set([...config, ...parts.map(({ digest }) => digest)]))
        assert.deepEqual(
          new Set(requiredReferences(manifest)),
          new Set([...config, ...local.map(({ digest }) => digest)]),
        )
        for (const list of [allReferences(manifest), requiredReferences(manifest)]) {
          assert.equal(new Set(list).size, list.length)
        }
        assert.equal(manifest.subject?.digest, subject === undefined ? undefined : digestFor(subject))
        assert.deepEqual(manifest.annotations, annotations)
      }),
      { numRuns: 500 },
    )
  })

  test('is the same however its bytes are cut, or nothing', () => {
    const whole = Buffer.from(JSON.stringify(image()))
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => {
        refused(whole.subarray(0, length).toString(), /./)
      }),
    )
  })
})
