/** The registry's API for the workload: each request is noted with what its answer says, and odd answers are findings. */
import { type Asked, type Client, jsonOf, type Reply } from '../support/client.ts'
import { type Built, digestOf } from '../support/image.ts'
import { type Change, type Effect, nothing } from './history.ts'
import { registers, repositories, tags, type World } from './world.ts'

/** The server went away in the middle of a request. */
export class Gone extends Error {}

export type Calls = ReturnType<typeof createCalls>

export type Condition = { readonly from: string }

const change = (register: string, effect: Effect): Change => ({ register, effect })
const saw = (register: string, value: string): Change => change(register, { kind: 'read', saw: value })

/** `caller` is the name under which its requests are noted. */
export function createCalls(world: World, client: Client, caller: string) {
  const ask = createAsk(world, caller)
  return { ...manifestCalls(world, client, ask), ...blobCalls(world, client, ask), ask, client }
}

type Ask = ReturnType<typeof createAsk>

/** `read` says what an answer means, or nothing where no such answer should come. */
function createAsk({ history, figures, findings }: World, caller: string) {
  return async (
    what: string,
    possible: readonly Change[],
    send: () => Promise<Reply>,
    read: (reply: Reply) => readonly Change[] | undefined,
  ): Promise<Reply> => {
    const call = history.begin(caller, possible)
    figures.operations++
    const reply = await send().catch((error: Error) => {
      figures.unanswered++
      throw new Gone(`${what}: ${error.message}`)
    })
    const meaning = read(reply)
    if (!meaning) {
      findings.push(`${what} was answered ${reply.status} ${reply.bytes.toString().slice(0, 300)}`)
      throw new Gone(what)
    }
    call.done(meaning)
    if (possible.length > 0 && [201, 202].includes(reply.status)) figures.acknowledged++
    return reply
  }
}

function manifestCalls(world: World, client: Client, ask: Ask) {
  /** Everything that a push by these tags changes. */
  function changesOf(name: string, digest: string, given: readonly string[], condition?: Condition): Change[] {
    const effect: Effect = condition ? { kind: 'swap', from: condition.from, digest } : { kind: 'write', digest }
    note(world.manifests, registers.manifest(name, digest), { name, digest }, world)
    return [
      change(registers.manifest(name, digest), { kind: 'write', digest }),
      ...given.map((tag) => change(registers.tag(name, tag), effect)),
    ]
  }

  function refusedPush(reply: Reply, name: string, given: readonly string[], condition?: Condition) {
    if (reply.status === 400) return sawMissing(world, name, reply)
    if (reply.status !== 412 || !condition) return undefined
    // One tag at a time is pushed under a condition.
    return given.map((tag) => change(registers.tag(name, tag), { kind: 'read', sawNot: condition.from }))
  }

  return {
    /** By its tag; with several, or none, by its digest. Tells whether it went through. */
    async putManifest(name: string, built: Built, given: readonly string[], condition?: Condition): Promise<boolean> {
      const changes = changesOf(name, built.digest, given, condition)
      const [tag] = given
      const query = given.map((each) => `tag=${each}`).join('&')
      const path = given.length === 1 && tag ? tag : `${built.digest}${query && '?'}${query}`
      const asked: Asked = { headers: { 'Content-Type': built.mediaType, ...headersOf(condition) }, body: built.bytes }
      const send = () => client.putManifest(name, path, asked)
      const reply = await ask(`PUT ${name} ${path}`, changes, send, (answer) =>
        answer.status === 201 ? changes : refusedPush(answer, name, given, condition),
      )
      return reply.status === 201
    },

    async getManifest(name: string, reference: string): Promise<{ bytes: Buffer; digest: string } | undefined> {
      const isDigest = reference.includes(':')
      const register = isDigest ? registers.manifest(name, reference) : registers.tag(name, reference)
      const send = () => client.getManifest(name, reference)
      const { status, bytes, headers } = await ask(`GET ${name} ${reference}`, [], send, (answer) =>
        answer.status === 200
          ? [saw(register, digestOf(answer.bytes))]
          : answer.status === 404
            ? [saw(register, nothing)]
            : undefined,
      )
      if (status === 404) return undefined
      const digest = digestOf(bytes)
      if (headers['docker-content-digest'] !== digest) {
        world.findings.push(`${name} ${reference}: the bytes are ${digest}, the answer says something else`)
      }
      return { bytes, digest }
    },

    async deleteTag(name: string, tag: string): Promise<void> {
      const register = registers.tag(name, tag)
      const changes = [change(register, { kind: 'delete' })]
      const send = () => client.deleteManifest(name, tag)
      await ask(`DELETE ${name} ${tag}`, changes, send, ({ status }) =>
        status === 202 ? changes : status === 404 ? [saw(register, nothing)] : undefined,
      )
    },

    /** Takes its tags along. What an index names is kept (405). */
    async deleteManifest(name: string, digest: string): Promise<void> {
      const register = registers.manifest(name, digest)
      const untagged = tags.map((tag) => change(registers.tag(name, tag), { kind: 'untag', digest }))
      const changes = [change(register, { kind: 'delete' }), ...untagged]
      world.touched.add(register)
      const send = () => client.deleteManifest(name, digest)
      await ask(`DELETE ${name} ${digest}`, changes, send, ({ status }) => {
        if (status === 202) return changes
        return status === 404 ? [saw(register, nothing)] : status === 405 ? [saw(register, digest)] : undefined
      })
    },

    /** The tags of a repository, which says something of each of them. */
    async listTags(name: string): Promise<readonly string[]> {
      const listed = (reply: Reply) => (reply.status === 404 ? [] : jsonOf<{ tags: string[] }>(reply).tags)
      const send = () => client.listTags(name)
      const reply = await ask(`GET ${name} tags`, [], send, (answer) => {
        if (![200, 404].includes(answer.status)) return undefined
        const found = listed(answer)
        return tags.map((tag) => saw(registers.tag(name, tag), found.includes(tag) ? 'anything' : nothing))
      })
      return listed(reply)
    },
  }
}

function blobCalls(world: World, client: Client, ask: Ask) {
  const present = (name: string, digest: string): Change => saw(registers.blob(name, digest), digest)
  const absent = (name: string, digest: string): Change[] => sawNoBlob(world, name, digest)

  return {
    async headBlob(name: string, digest: string): Promise<boolean> {
      const send = () => client.headBlob(name, digest)
      const { status } = await ask(`HEAD ${name} ${digest}`, [], send, (answer) =>
        answer.status === 200 ? [present(name, digest)] : answer.status === 404 ? absent(name, digest) : undefined,
      )
      return status === 200
    },

    /** Whether it is there, with the right bytes. */
    async getBlob(name: string, digest: string): Promise<boolean> {
      const send = () => client.getBlob(name, digest)
      const { status, bytes } = await ask(`GET ${name} ${digest}`, [], send, (answer) =>
        answer.status === 200 ? [present(name, digest)] : answer.status === 404 ? absent(name, digest) : undefined,
      )
      if (status === 404) return false
      world.figures.read++
      const actual = digestOf(bytes)
      if (actual !== digest) world.findings.push(`${name} ${digest}: ${bytes.length} bytes of ${actual} were read`)
      return true
    },

    async deleteBlob(name: string, digest: string): Promise<void> {
      const register = registers.blob(name, digest)
      const changes = [change(register, { kind: 'delete' })]
      world.touched.add(register)
      const send = () => client.deleteBlob(name, digest)
      await ask(`DELETE ${name} blob ${digest}`, changes, send, ({ status }) => {
        if (status === 202) return changes
        return status === 404 ? absent(name, digest) : status === 405 ? [present(name, digest)] : undefined
      })
    },

    /** A request that makes the blob readable here when it is answered 201. */
    async makeBlob(what: string, name: string, digest: string, also: readonly number[], send: () => Promise<Reply>) {
      const register = registers.blob(name, digest)
      const changes = [change(register, { kind: 'write', digest })]
      note(world.blobs, register, { name, digest }, world)
      return ask(`${what} ${name} ${digest}`, changes, send, ({ status }) =>
        status === 201 ? changes : also.includes(status) ? [] : undefined,
      )
    },
  }
}

function note<T>(known: Map<string, T>, register: string, held: T, { touched }: World): void {
  known.set(register, held)
  touched.add(register)
}

/** The collector may have been here. */
function sawNoBlob({ isCollected }: World, name: string, digest: string): Change[] {
  return isCollected ? [] : [saw(registers.blob(name, digest), nothing)]
}

/** A push was refused for want of these. */
function sawMissing(world: World, name: string, reply: Reply): Change[] | undefined {
  const { errors } = jsonOf<{ errors: { code: string; detail?: { digest?: string } }[] }>(reply)
  if (errors.some((each) => each.code !== 'MANIFEST_BLOB_UNKNOWN')) return undefined
  return errors.flatMap(({ detail }) => {
    const digest = detail?.digest ?? ''
    const manifest = registers.manifest(name, digest)
    return world.manifests.has(manifest) ? [saw(manifest, nothing)] : sawNoBlob(world, name, digest)
  })
}

function headersOf(condition: Condition | undefined): Asked['headers'] {
  if (!condition) return {}
  return condition.from === nothing ? { 'If-None-Match': '*' } : { 'If-Match': `"${condition.from}"` }
}

export const otherThan = (name: string): string[] => repositories.filter((each) => each !== name)
