/** Clients that do nothing but move, read, delete and list a few tags, so that much happens to each of them at once. */
import { type Calls, Gone } from '../kill/calls.ts'
import { chance, pick, pickHot, tags, type World } from '../kill/world.ts'
import { type Built, image } from '../support/image.ts'

const repositories = ['kill/tags1', 'kill/tags2', 'kill/tags3'] as const
const variants = 4

export type Tagged = ReadonlyMap<string, readonly Built[]>

/** Pushes what the tags will point to, but for the manifests. */
export async function prepareTags(calls: Calls): Promise<Tagged> {
  const tagged = new Map<string, Built[]>()
  for (const name of repositories) {
    const built = Array.from({ length: variants }, () => image())
    for (const { digest, bytes } of built.flatMap(({ blobs }) => blobs)) {
      const send = () => calls.client.startUpload(name, `?digest=${digest}`, { body: bytes })
      await calls.makeBlob('POST', name, digest, [], send)
    }
    tagged.set(name, built)
  }
  return tagged
}

/** Works until a request is not answered. */
export async function workOnTags({ findings }: World, calls: Calls, tagged: Tagged): Promise<void> {
  try {
    for (;;) await changeOrLook(calls, pick(repositories), tagged)
  } catch (error) {
    if (!(error instanceof Gone)) findings.push((error as Error).stack ?? String(error))
  }
}

async function changeOrLook(calls: Calls, name: string, tagged: Tagged): Promise<void> {
  const tag = pickHot(tags)
  const which = Math.random()
  if (which < 0.35) await calls.putManifest(name, pick(tagged.get(name)!), [tag])
  else if (which < 0.5) await calls.deleteTag(name, tag)
  else if (which < 0.9 || chance(0.5)) await calls.getManifest(name, tag)
  else await calls.listTags(name)
}

/** Every tag as it is now. */
export async function lookAtTags(calls: Calls): Promise<void> {
  for (const name of repositories) {
    await calls.listTags(name)
    for (const tag of tags) await calls.getManifest(name, tag)
  }
}
