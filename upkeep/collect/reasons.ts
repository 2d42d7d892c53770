/** Why something is looked at, and whether anybody asked for it to go. */

import type { ReviewReason } from '../../metadata/schema.ts'
import type { Digest } from '../../oci/digest.ts'

const whys: Readonly<Record<ReviewReason, string>> = {
  deleted: 'what referred to it was deleted',
  rule: 'a rule removed what referred to it',
  abandoned: 'it was pushed or mounted, and nothing came to refer to it',
  unknown: 'it was found in storage, and nothing refers to it',
}

export const whyOf = (reason: ReviewReason): string => whys[reason]

/** By a deletion, or by a rule. */
export const isAsked = (reason: ReviewReason): boolean => reason === 'deleted' || reason === 'rule'

export const whyUntagged = 'it has no tag, no index lists it, and it points to nothing that is here'
export const whySubjectGone = (subject: Digest): string => `${subject}, to which it points, was deleted`
