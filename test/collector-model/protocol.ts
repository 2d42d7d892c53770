/**
 * The rules of collection, each of which can be left out, and what is expected to break then. A rule whose absence
 * breaks nothing is listed too: it is there for another reason, and the model says so.
 */
export interface Protocol {
  /** The transaction that condemns looks again whether the blob is used. */
  readonly checksAgain: boolean
  /** An upload names its digest before bytes appear under it. */
  readonly namesFirst: boolean
  /** What somebody has named is not condemned. */
  readonly namesHoldOff: boolean
  /** A push that finds its blob condemned waits until the row is gone or the claim is over. */
  readonly waitsForClaim: boolean
  /** The claim is lifted by the transaction that makes the blob live, not before its bytes are there. */
  readonly pardonsLast: boolean
  /** That transaction does lift it. */
  readonly pardons: boolean
  /** A claim cannot end while a deletion it covers may still happen. */
  readonly fenced: boolean
  /** Only the collector whose claim it still is forgets the row, and the review with it. */
  readonly forgetsOwnOnly: boolean
  readonly keepsReviewOfOthers: boolean
  /** A review stays while an upload or a link nobody refers to is what keeps the blob. */
  readonly keepsReviewForUploads: boolean
  readonly keepsReviewForLinks: boolean
  /** Uploads and mounts ask for a review themselves: nobody may ever refer to what they brought. */
  readonly reviewsArrivals: boolean
  /** Link files follow the facts, durably, before bytes go; and they do so when no link can come or go any more. */
  readonly settlesFirst: boolean
  readonly settlesClaimed: boolean
  /** What the trash refers to is used. */
  readonly trashUses: boolean
  /** A link that only the trash needs is not stale. */
  readonly trashKeepsLinks: boolean
  readonly restoreLinks: boolean
  /** These three look inside of the transaction that relies on it. */
  readonly restoreChecks: boolean
  readonly mountChecks: boolean
  readonly putChecks: boolean
  /** HEAD says "it is there" only if its touch found the link. */
  readonly headChecks: boolean
  /** A closing PUT that is sent again waits and moves its bytes like the first, unless they have moved already. */
  readonly repeatsWhole: boolean
  /** A manifest's push that was never finished is not taken up while a collector may still delete its bytes. */
  readonly takesUpUnclaimed: boolean
  /** Recovery deletes a condemned blob only if nothing has named it meanwhile. */
  readonly recoveryChecks: boolean
  /** It does so before it looks at what was being pushed. */
  readonly recoversCondemnedFirst: boolean
}

export const recommended: Protocol = {
  checksAgain: true,
  namesFirst: true,
  namesHoldOff: true,
  waitsForClaim: true,
  pardonsLast: true,
  pardons: true,
  fenced: true,
  forgetsOwnOnly: true,
  keepsReviewOfOthers: true,
  keepsReviewForUploads: true,
  keepsReviewForLinks: true,
  reviewsArrivals: true,
  settlesFirst: true,
  settlesClaimed: true,
  trashUses: true,
  trashKeepsLinks: true,
  restoreLinks: true,
  restoreChecks: true,
  mountChecks: true,
  putChecks: true,
  headChecks: true,
  repeatsWhole: true,
  takesUpUnclaimed: true,
  recoveryChecks: true,
  recoversCondemnedFirst: true,
}

/**
 * `layer`: the digest is what manifests refer to. `manifest`: it is a manifest itself, which needs no link. `grace`: as
 * `layer`, and a link that was touched outlasts the push that relies on it; elsewhere a touch protects nothing.
 */
export type Scenario = 'layer' | 'manifest' | 'grace'
export const scenarios: readonly Scenario[] = ['layer', 'manifest', 'grace']

export interface Variant {
  readonly name: string
  readonly without: readonly (keyof Protocol)[]
  readonly scenario: Scenario
}

export interface BrokenVariant extends Variant {
  /** Which promise is the first to go: see `promises.ts`. */
  readonly breaks: string
}

const breaks = (
  breaks: string,
  scenario: Scenario,
  without: readonly (keyof Protocol)[],
  name: string,
): BrokenVariant => ({
  name,
  without,
  scenario,
  breaks,
})

export const broken: readonly BrokenVariant[] = [
  breaks('J1', 'layer', ['checksAgain'], 'a blob is condemned on what an earlier read said'),
  breaks('J4', 'layer', ['namesFirst'], 'bytes are moved in before a row names them'),
  breaks('J2', 'layer', ['namesHoldOff'], 'what an upload has named is condemned all the same'),
  breaks('J1', 'manifest', ['namesHoldOff'], 'what a manifest push has named is condemned all the same'),
  breaks('J2', 'layer', ['waitsForClaim'], 'an upload does not wait for a claim'),
  breaks('J1', 'manifest', ['waitsForClaim'], 'a manifest push does not wait for a claim'),
  breaks('J2', 'layer', ['pardonsLast'], 'a blob is pardoned before its bytes are there'),
  breaks('J1', 'layer', ['pardons'], 'an upload leaves the claim in place'),
  breaks('J2', 'layer', ['fenced'], 'bytes are deleted after the claim has ended'),
  breaks('J4', 'layer', ['forgetsOwnOnly'], 'a row is forgotten whoever has claimed it'),
  breaks('J4', 'layer', ['keepsReviewOfOthers'], 'a review is forgotten whoever has claimed the blob'),
  breaks('J4', 'layer', ['keepsReviewForUploads'], 'a review ends because an upload is under way'),
  breaks('J4', 'layer', ['keepsReviewForLinks'], 'a review ends because of a link that nobody needs'),
  breaks('J4', 'layer', ['reviewsArrivals'], 'what was uploaded is never reviewed'),
  breaks('J6', 'layer', ['settlesFirst', 'settlesClaimed'], 'bytes go before the link files'),
  breaks('J6', 'layer', ['settlesClaimed'], 'link files are settled before the blob is condemned'),
  breaks(
    'J6',
    'manifest',
    ['recoversCondemnedFirst'],
    'recovery drops what was being pushed before it finishes what was condemned',
  ),
  breaks('J2', 'manifest', ['takesUpUnclaimed'], 'an unfinished push is taken up while its bytes are being deleted'),
  breaks('J3', 'layer', ['trashUses'], 'the trash keeps nothing'),
  breaks('J1', 'layer', ['restoreLinks'], 'restoring does not link again what a client has deleted'),
  breaks('J1', 'grace', ['trashKeepsLinks', 'restoreLinks'], 'a link is stale whatever the trash needs'),
  breaks('J1', 'layer', ['restoreChecks'], 'what was listed is restored unseen'),
  breaks('J1', 'manifest', ['restoreChecks'], 'a manifest is restored whose entry has been purged'),
  breaks('J1', 'layer', ['mountChecks'], 'a mount looks at its source beforehand'),
  breaks('J1', 'layer', ['putChecks'], 'a manifest is recorded on what HEAD said'),
  breaks('J5', 'grace', ['headChecks'], 'HEAD answers without having touched'),
  breaks('J2', 'layer', ['repeatsWhole'], 'a repeated commit takes any bytes for its own'),
]

const harmlessWithout = (scenario: Scenario, without: keyof Protocol, name: string): Variant => ({
  name,
  without: [without],
  scenario,
})

/** Left out alone, these break no promise: another rule keeps it, and the client or the storage only has more work. */
export const harmless: readonly Variant[] = [
  harmlessWithout('layer', 'headChecks', 'HEAD answers without having touched, where a touch protects nothing'),
  harmlessWithout('layer', 'trashKeepsLinks', 'a link is stale whatever the trash needs, and restoring links again'),
  harmlessWithout('layer', 'recoveryChecks', 'recovery deletes what an unfinished upload has named'),
]

export function weakened({ without }: Variant): Protocol {
  return { ...recommended, ...Object.fromEntries(without.map((rule) => [rule, false])) }
}
