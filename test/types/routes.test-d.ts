/** What must and must not compile about routes. `tsc` is the test: an expected error that does not occur is one. */

import type { Digest } from '../../oci/digest.ts'
import type { RepositoryName, UploadId } from '../../oci/name.ts'
import type { Reference } from '../../oci/reference.ts'
import type { ParametersOf } from '../../server/route.ts'
import { type AccessRule, route } from '../../server/route.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Holds<Claim extends true> = Claim

export type Claims = [
  Holds<Equal<ParametersOf<'/v2/_catalog'>, Pick<never, never>>>,
  Holds<Equal<keyof ParametersOf<'/v2/*name/blobs/:digest'>, 'name' | 'digest'>>,
  Holds<Equal<ParametersOf<'/v2/*name/blobs/:digest'>['digest'], Digest>>,
  Holds<Equal<ParametersOf<'/v2/*name/manifests/:reference'>['reference'], Reference>>,
  Holds<Equal<ParametersOf<'/v2/*name/blobs/uploads/:uploadId'>['uploadId'], UploadId>>,
  Holds<Equal<ParametersOf<'/v2/*name/tags/list'>['name'], RepositoryName>>,
  Holds<Equal<keyof ParametersOf<'/v2/*name/:nothing'>, 'name'>>,
]

const anybody: AccessRule<object> = { name: 'anybody', wanted: () => [] }
const named: AccessRule<{ readonly name: RepositoryName }> = { name: 'pull', wanted: () => [] }

export const accepted = [
  route('id', 'GET', '/v2/*name/blobs/:digest', named, (_, { name, digest }) => void [name, digest]),
  route('id', 'GET', '/v2/_catalog', anybody, () => {}),
]

export const refused = [
  // @ts-expect-error: the path has no digest
  route('id', 'GET', '/v2/*name/tags/list', named, (_, { digest }) => void digest),
  // @ts-expect-error: the path has no name to ask permission for
  route('id', 'GET', '/v2/_catalog', named, () => {}),
  // @ts-expect-error: not a method of this registry
  route('id', 'TRACE', '/v2/_catalog', anybody, () => {}),
]
