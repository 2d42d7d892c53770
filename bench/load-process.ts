// The load generator: a process of its own, so that what the measuring process does is no part of the load and the
// generator's own processor time can be told.

import type { Sample } from './closed-loop.ts'
import { allGroups } from './scenarios/all.ts'
import type { Plan, Prepared, Target } from './scenarios/scenario.ts'

export type Job =
  | { readonly kind: 'prepare'; readonly group: string; readonly target: Target }
  | { readonly kind: 'measure'; readonly server: string; readonly scenario: string; readonly seconds: number }
  | { readonly kind: 'verify'; readonly server: string; readonly scenario: string }

/** `note` is what verification had to say; `cpu` are the seconds of the load generator itself. */
export type Done = { readonly sample?: Sample; readonly note?: string; readonly cpu: number }

export type Answer = { readonly done: Done } | { readonly failure: string }

const prepared = new Map<string, Prepared>()
const plan: Plan = JSON.parse(process.argv[2] ?? '{}')
const groups = allGroups(plan)

process.on('disconnect', () => process.exit())
process.on('message', (job: Job) => {
  answer(job).catch((error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})

async function answer(job: Job): Promise<void> {
  const before = process.cpuUsage()
  let reply: Answer
  try {
    const outcome = await work(job)
    const { user, system } = process.cpuUsage(before)
    reply = { done: { ...outcome, cpu: (user + system) / 1e6 } }
  } catch (error) {
    reply = { failure: error instanceof Error ? error.message : String(error) }
  }
  process.send?.(reply)
}

async function work(job: Job): Promise<Omit<Done, 'cpu'>> {
  if (job.kind === 'prepare') {
    const group = groups.find(({ name }) => name === job.group)
    if (group === undefined) throw new Error(`no group ${job.group}`)
    prepared.set(job.target.server, await group.prepare(job.target))
    return {}
  }
  const ready = prepared.get(job.server)
  if (ready === undefined) throw new Error(`${job.server} was not prepared`)
  if (job.kind === 'measure') return { sample: await ready.measure(job.scenario, job.seconds) }
  const note = await ready.verify(job.scenario)
  return note === undefined ? {} : { note }
}
