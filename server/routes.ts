/** THE TABLE: every address, what it asks for, and who answers. The documentation and the tests are made from it. */
import type { Access } from '../auth/access.ts'
import type { RepositoryName } from '../oci/name.ts'
import { parseRepositoryName } from '../oci/name.ts'
import * as base from './handlers/base.ts'
import * as blobs from './handlers/blobs.ts'
import * as catalog from './handlers/catalog.ts'
import * as extensions from './handlers/extensions.ts'
import * as health from './handlers/health.ts'
import * as manifests from './handlers/manifests.ts'
import * as referrers from './handlers/referrers.ts'
import * as search from './handlers/search.ts'
import * as tags from './handlers/tags.ts'
import * as uploads from './handlers/uploads.ts'
import { type AccessRule, type Route, route } from './route.ts'

interface Named {
  readonly name: RepositoryName
}

const repository = (name: RepositoryName, action: 'pull' | 'push' | 'delete'): Access => ({
  type: 'repository',
  name,
  action,
})

const open: AccessRule<object> = { name: 'nobody in particular', open: true, wanted: () => [] }
const identified: AccessRule<object> = { name: 'a known caller', wanted: () => [] }
const pull: AccessRule<Named> = { name: 'pull', wanted: ({ name }) => [repository(name, 'pull')] }
const push: AccessRule<Named> = {
  name: 'pull, push',
  wanted: ({ name }) => [repository(name, 'pull'), repository(name, 'push')],
}
/** A mount reads its source: that is asked for too, so that a client learns to bring it. */
const pushOrMount: AccessRule<Named> = {
  name: 'pull, push; for a mount also pull on its source',
  wanted: (parameters, query) => {
    const from = parseRepositoryName(query.get('from') ?? '')
    return query.has('mount') && from
      ? [...push.wanted(parameters, query), repository(from, 'pull')]
      : push.wanted(parameters, query)
  },
}
const remove: AccessRule<Named> = { name: 'delete', wanted: ({ name }) => [repository(name, 'delete')] }
const browse: AccessRule<object> = {
  name: 'registry:catalog:*',
  wanted: () => [{ type: 'registry', name: 'catalog', action: '*' }],
}

// biome-ignore format: one row per endpoint
export const routes: readonly Route[] = [
  //    specification  method    address                                        access       handler
  route('end-1',       'GET',    '/v2',                                         identified,  base.check),
  route('end-2',       'HEAD',   '/v2/*name/blobs/:digest',                     pull,        blobs.head),
  route('end-2',       'GET',    '/v2/*name/blobs/:digest',                     pull,        blobs.get),
  route('end-10',      'DELETE', '/v2/*name/blobs/:digest',                     remove,      blobs.remove),
  route('end-3',       'HEAD',   '/v2/*name/manifests/:reference',              pull,        manifests.get),
  route('end-3',       'GET',    '/v2/*name/manifests/:reference',              pull,        manifests.get),
  route('end-7',       'PUT',    '/v2/*name/manifests/:reference',              push,        manifests.put),
  route('end-9',       'DELETE', '/v2/*name/manifests/:reference',              remove,      manifests.remove),
  route('end-4, 11',   'POST',   '/v2/*name/blobs/uploads',                     pushOrMount, uploads.start),
  route('end-13',      'GET',    '/v2/*name/blobs/uploads/:uploadId',           push,        uploads.status),
  route('end-5',       'PATCH',  '/v2/*name/blobs/uploads/:uploadId',           push,        uploads.append),
  route('end-6',       'PUT',    '/v2/*name/blobs/uploads/:uploadId',           push,        uploads.commit),
  route('end-14',      'DELETE', '/v2/*name/blobs/uploads/:uploadId',           push,        uploads.cancel),
  route('end-8',       'GET',    '/v2/*name/tags/list',                         pull,        tags.list),
  route('end-12',      'GET',    '/v2/*name/referrers/:digest',                 pull,        referrers.list),
  route('catalog',     'GET',    '/v2/_catalog',                                browse,      catalog.list),
  route('discover',    'GET',    '/v2/_oci/ext/discover',                       identified,  extensions.ofRegistry),
  route('discover',    'GET',    '/v2/*name/_oci/ext/discover',                 pull,        extensions.ofRepository),
  route('search',      'GET',    '/v1/_ping',                                   open,        search.ping),
  route('search',      'GET',    '/v1/search',                                  browse,      search.search),
  route('root',        'GET',    '/',                                           open,        health.root),
  route('health',      'GET',    '/healthz',                                    open,        health.live),
  route('health',      'GET',    '/readyz',                                     open,        health.ready),
]
