import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  accepts,
  bareMediaType,
  isForeignLayerType,
  isImageManifestType,
  isIndexType,
  isManifestType,
  isSchema1Type,
  mediaTypes,
} from '../../oci/media-types.ts'

const { imageManifest, imageIndex, dockerManifest } = mediaTypes

interface Item {
  readonly range: string
  readonly quality: number
}

/** RFC 9110 section 12.5.1, said plainly: the most specific range that names the type decides. */
function modelAccepts(items: readonly Item[], type: string): boolean {
  const [kind] = type.split('/')
  for (const range of [type, `${kind}/*`, '*/*']) {
    const named = items.filter((item) => item.range === range)
    if (named.length > 0) return named.some((item) => item.quality > 0)
  }
  return false
}

const item = fc.record({
  range: fc.constantFrom(imageManifest, imageIndex, dockerManifest, 'application/*', 'text/*', '*/*', 'text/html'),
  quality: fc.constantFrom(0, 0.001, 0.5, 1),
})

describe('an Accept header', () => {
  test('takes what its most specific range says', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(item, { minLength: 1, maxLength: 5, selector: ({ range }) => range }),
        fc.constantFrom(imageManifest, imageIndex, dockerManifest),
        fc.constantFrom(',', ', ', ' , '),
        (items, type, comma) => {
          const header = items.map(({ range, quality }) => `${range};q=${quality}`).join(comma)
          assert.equal(accepts(header, type), modelAccepts(items, type), header)
        },
      ),
    )
  })

  test('that is missing or empty takes everything', () => {
    for (const header of [undefined, '', '  ']) assert.equal(accepts(header, imageIndex), true)
  })

  test('does not care for case or other parameters', () => {
    assert.equal(accepts(imageIndex.toUpperCase(), imageIndex), true)
    assert.equal(accepts(`${imageIndex}; charset=utf-8`, imageIndex), true)
    assert.equal(accepts(`${imageIndex};charset=utf-8;q=0`, imageIndex), false)
    assert.equal(accepts(`${imageIndex};Q=0.000`, imageIndex), false)
    assert.equal(accepts(`${imageIndex};q=0.001`, imageIndex), true)
    assert.equal(accepts(`${imageIndex};faq=0`, imageIndex), true)
    assert.equal(accepts('text/html', imageIndex), false)
    assert.equal(accepts('nonsense', imageIndex), false)
  })
})

describe('a media type', () => {
  test('is compared without parameters and in lower case', () => {
    assert.equal(bareMediaType(' Application/JSON ; charset=utf-8'), 'application/json')
    assert.equal(bareMediaType(''), '')
  })

  test('is of one kind', () => {
    const kinds = [isImageManifestType, isIndexType, isSchema1Type, isForeignLayerType]
    const ofKind = {
      [imageManifest]: 0,
      [dockerManifest]: 0,
      [imageIndex]: 1,
      [mediaTypes.dockerManifestList]: 1,
      [mediaTypes.dockerSchema1]: 2,
      [mediaTypes.dockerSchema1Signed]: 2,
      'application/vnd.oci.image.layer.nondistributable.v1.tar': 3,
      'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip': 3,
      'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd': 3,
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip': 3,
      'application/vnd.oci.image.layer.v1.tar+gzip': -1,
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip.evil': -1,
      '': -1,
    }
    for (const [type, kind] of Object.entries(ofKind)) {
      assert.deepEqual(
        kinds.map((is) => is(type)),
        kinds.map((_, index) => index === kind),
        type,
      )
      assert.equal(isManifestType(type), kind === 0 || kind === 1)
    }
  })
})
