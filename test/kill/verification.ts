/** What is looked at after each restart, while nobody else asks. Reads are noted, and judged with everything else. */
import type { Client } from '../support/client.ts'
import { type Calls, createCalls, Gone } from './calls.ts'
import { resume } from './uploads.ts'
import type { PulledManifest } from './workload.ts'
import { chance, type Held, repositories, type World } from './world.ts'

const sampled = 60
const parallel = 6
const resumeProbability = 0.7

/** `everything`: also what nobody has used since it was looked at last. */
export async function verify(world: World, client: Client, everything: boolean): Promise<void> {
  const calls = createCalls(world, client, 'verifier')
  try {
    const due = world.interrupted.splice(0)
    world.interrupted.push(...due.filter(() => !everything && !chance(resumeProbability)))
    const now = due.filter((each) => !world.interrupted.includes(each))
    await inParallel(now, (each) => resume(world, calls, each))
    const checked = new Set<string>()
    for (const name of repositories) await checkTags(world, calls, name, checked)
    await inParallel(chosen(world, world.manifests, everything), (held) => checkManifest(world, calls, held, checked))
    await inParallel(chosen(world, world.blobs, everything), async ({ name, digest }) => {
      if (!checked.has(`${name} ${digest}`)) await calls.getBlob(name, digest)
    })
    world.touched.clear()
  } catch (error) {
    const told = error instanceof Gone ? `nobody killed it, but: ${error.message}` : (error as Error).stack
    world.findings.push(`after a restart: ${told}`)
  }
}

/** What was used since the last time, and some of the rest. */
function chosen(world: World, known: ReadonlyMap<string, Held>, everything: boolean): Held[] {
  const share = everything ? 1 : sampled / Math.max(1, known.size)
  return [...known].filter(([register]) => world.touched.has(register) || chance(share)).map(([, held]) => held)
}

/** What is listed can be pulled whole. */
async function checkTags(world: World, calls: Calls, name: string, checked: Set<string>): Promise<void> {
  for (const tag of await calls.listTags(name)) {
    const manifest = await calls.getManifest(name, tag)
    if (!manifest) world.findings.push(`${name}:${tag} is listed, and cannot be pulled`)
    else await checkWhole(world, calls, `${name}:${tag}`, name, manifest.bytes, checked)
  }
}

async function checkManifest(world: World, calls: Calls, { name, digest }: Held, checked: Set<string>) {
  const manifest = await calls.getManifest(name, digest)
  if (manifest) await checkWhole(world, calls, `${name}@${digest}`, name, manifest.bytes, checked)
}

async function checkWhole(
  world: World,
  calls: Calls,
  user: string,
  name: string,
  bytes: Buffer,
  checked: Set<string>,
): Promise<void> {
  const { config, layers = [], manifests = [] } = JSON.parse(bytes.toString()) as PulledManifest
  for (const { digest } of [...(config ? [config] : []), ...layers]) {
    if (checked.has(`${name} ${digest}`)) continue
    checked.add(`${name} ${digest}`)
    if (!(await calls.getBlob(name, digest))) world.findings.push(`${user} is there, and its blob ${digest} is not`)
  }
  for (const { digest } of manifests) {
    const child = await calls.getManifest(name, digest)
    if (!child) world.findings.push(`${user} is there, and its manifest ${digest} is not`)
    else await checkWhole(world, calls, `${name}@${digest}`, name, child.bytes, checked)
  }
}

async function inParallel<T>(all: readonly T[], one: (each: T) => Promise<void>): Promise<void> {
  const waiting = [...all]
  const worker = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await one(next)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}
