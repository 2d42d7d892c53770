import type { Exchange } from '../exchange.ts'
import { replyJson } from '../replies/json.ts'

/** The specification is spoken here, and the caller is known (distribution-spec, "Determining Support"). */
export function check({ ctx }: Exchange): void {
  replyJson(ctx, {})
}
