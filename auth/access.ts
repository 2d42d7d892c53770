/**
 * Permission, without HTTP: what is asked (`Access`), who asks (`Credentials`), and the answer (`Grant`, or the failure
 * `unauthorized` with a challenge, or `denied`).
 */
import type { RepositoryName } from '../oci/name.ts'

export type Action = 'pull' | 'push' | 'delete'

export type Access =
  | { readonly type: 'repository'; readonly name: RepositoryName; readonly action: Action }
  | { readonly type: 'registry'; readonly name: 'catalog'; readonly action: '*' }

export type Credentials =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic'; readonly username: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }

export interface Grant {
  /** The account, or nothing for an anonymous caller. */
  readonly identity?: string
  allows(access: Access): boolean
}

export interface AccessController {
  /**
   * The caller's grant for what is wanted; `wanted` may be empty, which asks who the caller is.
   * Fails with `unauthorized` (and the challenge to send) or `denied`.
   */
  authorize(credentials: Credentials, wanted: readonly Access[]): Promise<Grant>
  /** Ends watchers and workers. */
  close(): Promise<void>
}

/** `auth: none`: everybody may do everything. */
export function openAccess(): AccessController {
  const grant: Grant = { allows: () => true }
  return { authorize: async () => grant, close: async () => {} }
}
