/** The thread that compares: one check at a time comes in, whether it matches goes out. */
import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

export interface BcryptCheck {
  readonly password: string
  readonly hash: string
}

parentPort?.on('message', ({ password, hash }: BcryptCheck) => {
  parentPort?.postMessage(compareSync(password, hash))
})
