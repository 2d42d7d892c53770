/** `n` and `last` of a paged list (distribution-spec, "Listing Tags"). */
import { Failure } from '../oci/failure.ts'
import type { Page, PageRequest } from '../oci/page.ts'

export interface AskedPage extends PageRequest {
  /** `n=0`: an empty page that has no next one. */
  readonly nothing: boolean
}

/** More than `most` is cut to it; no `n` asks for `usual`. */
export function readPageRequest(query: URLSearchParams, { usual, most }: { usual: number; most: number }): AskedPage {
  const asked = query.get('n')
  if (asked !== null && !/^\d{1,18}$/.test(asked)) {
    throw new Failure('page-invalid', { parameter: 'n', value: asked.slice(0, 100) })
  }
  const count = asked === null ? usual : Math.min(Number(asked), most)
  return { limit: Math.max(count, 1), nothing: count === 0, ...after(query.get('last')) }
}

const after = (last: string | null): Pick<PageRequest, 'after'> => (last === null || last === '' ? {} : { after: last })

export const emptyPage: Page<never> = { entries: [] }
