/** Every method of the facts, called once: for whoever wants to know what the databases do about each. */
import type { FactQueries } from '../../metadata/facts.ts'
import type { NewTrash, Review } from '../../metadata/facts-upkeep.ts'
import type { UploadId } from '../../oci/name.ts'
import { digestFor, manifestOf, nameOf, tagOf } from '../contracts/facts-tools.ts'

export const [name, tag, digest] = [nameOf('r000000'), tagOf('t000000'), digestFor('x')]

export const referrersWanted = { after: '', limit: 10, bytes: 1000, artifactTypes: [] }

const entry: Omit<NewTrash, 'id'> = {
  repositoryId: 1,
  kind: 'manifest',
  digest,
  mediaType: 'a/b',
  tags: [tag],
  reason: 'deleted by a client',
  deletedAt: 1,
}

const review: Review = { kind: 'blob', repositoryId: 0, digest, due: 1, reason: 'deleted' }

/** Every method once, but those that answer about everything. */
export const everyQuery: readonly ((facts: FactQueries, id: UploadId) => Promise<unknown>)[] = [
  ({ store }) => store.set('key', 'value'),
  ({ store }) => store.get('key'),
  ({ store }) => store.remove('key'),
  ({ repositories }) => repositories.find(name),
  ({ repositories }) => repositories.ensure(nameOf('new'), 1),
  ({ repositories }) => repositories.page('r', 10),
  ({ blobs }) => blobs.sizeIn(name, digest),
  ({ blobs }) => blobs.isStored(digest),
  ({ blobs }) => blobs.add(digest, 1, 1),
  ({ blobs }) => blobs.moved(digest, 'key'),
  ({ blobs }) => blobs.link(1, digest, 1),
  ({ blobs }) => blobs.isLinked(1, digest),
  ({ blobs }) => blobs.linkedAmong(1, [digest, digestFor('y')]),
  ({ blobs }) => blobs.holders(digest, 10),
  ({ blobs }) => blobs.touch(1, digest, 2),
  ({ blobs }) => blobs.unlink(1, digest),
  ({ manifests }) => manifests.put(1, manifestOf('x', { references: [digest], subject: digest }), 1),

  ({ manifests }) => manifests.declaredType(1, digest),
  ({ manifests }) => manifests.find(name, digest),
  ({ manifests }) => manifests.findTagged(name, tag),
  ({ manifests }) => manifests.among(1, [digest, digestFor('y')]),
  ({ manifests }) => manifests.references(1, digest),
  ({ manifests }) => manifests.parents(1, digest, 10),
  ({ manifests }) => manifests.referrers(name, digest, referrersWanted),
  ({ manifests }) => manifests.referrers(name, digest, { ...referrersWanted, artifactTypes: ['a/b'] }),
  ({ manifests }) => manifests.delete(1, digest),
  ({ tags }) => tags.page(1, 't', 10),
  ({ tags }) => tags.set(1, tag, digest, 1),
  ({ tags }) => tags.digest(1, tag),
  ({ tags }) => tags.pointingTo(1, digest),
  ({ tags }) => tags.history(1, tag),
  ({ tags }) => tags.hadPointedTo(1, tag, digest),
  ({ tags }) => tags.delete(1, tag),
  ({ manifests }) => manifests.untag(1, digest),
  ({ uploads }, id) =>
    uploads.add({ id, repository: name, state: 'receiving', stage: '', algorithm: 'sha256', version: 0, updatedAt: 1 }),
  ({ uploads }, id) => uploads.find(id),
  ({ uploads }, id) => uploads.change(id, 0, { stage: '{}', hashed: undefined, updatedAt: 1 }),
  ({ uploads }) => uploads.idle('receiving', 100, 10),
  ({ uploads }) => uploads.forgetHashes(),
  ({ uploads }, id) => uploads.remove(id, 1),
  ({ uploads }, id) => uploads.remove(id),
  ({ owed }) => owed.add('key', 1, 1),
  ({ owed }) => owed.find('key'),
  ({ owed }) => owed.page('k', 10),
  ({ owed }) => owed.clear({ key: 'key', version: 1 }),
  ({ trash }, id) => trash.add({ ...entry, id }, [digest, digestFor('y')]),
  ({ trash }, id) => trash.find(id),
  ({ trash }) => trash.ofDigest(1, digest),
  ({ trash }) => trash.page(undefined, 10, 10),
  ({ trash }, id) => trash.page({ deletedAt: 1, id }, 10, 10),
  ({ trash }, id) => trash.references(id),
  ({ trash }, id) => trash.remove(id),
  ({ reviews }) => reviews.add(review),
  ({ reviews }) => reviews.due(10, undefined, 10),
  ({ reviews }) => reviews.due(10, review, 10),
  ({ reviews }) => reviews.putOff(review, 20),
  ({ reviews }) => reviews.remove(review),
  ({ reviews }) => reviews.count(10),
  ({ damages }) => damages.add({ key: 'key', kind: 'content', repository: name, digest, detail: 'empty', foundAt: 1 }),
  ({ damages }) => damages.page('k', 10),
  ({ damages }) => damages.removeOf(digest),
  ({ damages }) => damages.clear(name),
  ({ damages }) => damages.remove('key'),
  ({ collection }) => collection.find(digest),
  ({ collection }) => collection.unneededLinks(digest, 5),
  ({ collection }) => collection.linkCount(digest),
  ({ collection }) => collection.isReferred(digest, 5),
  ({ collection }) => collection.isUsed(digest),
  ({ blobs }) => blobs.add(digest, 1, 1),
  ({ collection }) => collection.condemn(digest, 10, 1),
  ({ collection }) => collection.condemned(10),
  ({ collection }) => collection.isKept(digest),
  ({ collection }) => collection.forget(digest, 10),
  ({ collection }) => collection.markDamaged(digest, 1),
  ({ collection }) => collection.markWhole(digest, 1),
  ({ collection }) => collection.page('', 10),
  ({ collection }) => collection.untagged(1, 10, '', 10),
  ({ collection }) => collection.untaggedReferrers(1, digest, 10),
  ({ collection }) => collection.standing(1, digest),
  ({ collection }) => collection.hasReferrers(1, digest),
  ({ collection }) => collection.usersOf(digest, 10),
  ({ adoption }) => adoption.announce([nameOf('a'), nameOf('b')], 1),
  ({ adoption }) => adoption.setState(2, 'unadopted'),
  ({ adoption }) => adoption.markAbsent(2, 1),
  ({ adoption }) => adoption.listed(2),
  ({ adoption }) => adoption.inState('adopted', '', 10),
  ({ adoption }) => adoption.inState('unadopted', '', 10),
  ({ adoption }) => adoption.link(1, digest, 1),
  ({ adoption }) => adoption.remember(1, tag, digest),
  ({ adoption }) => adoption.reviewUnreferenced(1, 10),
  ({ adoption }) => adoption.layers(1, '', 10),
  ({ adoption }) => adoption.revisions(1, '', 10),
  ({ adoption }) => adoption.history(1, { tag: '', digest: '' }, 10),
  ({ adoption }) => adoption.clear(3, 10),
]

/** These read everything: what they answer is about everything. */
export const wholeTables: readonly ((facts: FactQueries) => Promise<unknown>)[] = [
  ({ repositories }) => repositories.search('x', 10),
  ({ owed }) => owed.count(),
  ({ trash }) => trash.count(),
  ({ damages }) => damages.count(),
  // It stops at the first.
  ({ damages }) => damages.any(),
  ({ collection }) => collection.totals(),
  ({ adoption }) => adoption.counts(),
  ({ adoption }) => adoption.unadoptAll(),
]

/** How many calls there are where every method is called once, and some twice. */
export function countCalls(facts: FactQueries): { readonly calls: number; readonly expected: number } {
  const methods = Object.values(facts).reduce((sum, fact) => sum + Object.keys(fact).length, 0)
  // `referrers`, `trash.page`, `reviews.due`, `blobs.add`, `uploads.remove` and `inState` are asked twice.
  return { calls: everyQuery.length + wholeTables.length, expected: methods + 6 }
}
