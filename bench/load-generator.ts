import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Answer, Done, Job } from './load-process.ts'
import type { Plan } from './scenarios/scenario.ts'

export type LoadGenerator = {
  readonly ask: (job: Job) => Promise<Done>
  readonly stop: () => void
}

/** Long enough to fill 100,000 repositories one by one. */
const PREPARED_WITHIN_MS = 60 * 60_000
const JOB_WITHIN_MS = 10 * 60_000

export function startLoadGenerator(plan: Plan): LoadGenerator {
  const start = (): ChildProcess => fork(join(import.meta.dirname, 'load-process.ts'), [JSON.stringify(plan)])
  let child = start()
  return {
    ask: async (job) => {
      if (!child.connected) child = start()
      return askChild(child, job)
    },
    stop: () => {
      child.kill('SIGKILL')
    },
  }
}

async function askChild(child: ChildProcess, job: Job): Promise<Done> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const ended = (): void => reject(new Error('the load generator has ended'))
  // A job that does not end takes the process with it: the next one must not run beside its rest.
  const timer = setTimeout(() => child.kill('SIGKILL'), job.kind === 'prepare' ? PREPARED_WITHIN_MS : JOB_WITHIN_MS)
  child.once('message', resolve)
  child.once('exit', ended)
  child.send(job)
  try {
    const answer = await promise
    if ('failure' in answer) throw new Error(answer.failure)
    return answer.done
  } finally {
    clearTimeout(timer)
    child.off('message', resolve)
    child.off('exit', ended)
  }
}
