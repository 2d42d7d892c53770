import type { Exchange } from '../exchange.ts'
import { replyJson } from '../replies/json.ts'

const documentation = 'https://github.com/opencontainers/distribution-spec/tree/main/extensions'

const discovery = (endpoints: readonly string[]) => ({
  name: '_oci',
  url: documentation,
  description: 'Extensions that this registry offers',
  endpoints,
})

const catalog = {
  name: '_catalog',
  url: 'https://distribution.github.io/distribution/spec/api/#catalog',
  description: 'Names of the repositories',
  endpoints: ['_catalog'],
}

/** What this registry offers beyond the specification (distribution-spec, "Extensions"). */
export function ofRegistry({ ctx }: Exchange): void {
  replyJson(ctx, { extensions: [discovery(['_oci/ext/discover']), catalog] })
}

export function ofRepository({ ctx }: Exchange): void {
  replyJson(ctx, { extensions: [discovery(['_oci/ext/discover'])] })
}
