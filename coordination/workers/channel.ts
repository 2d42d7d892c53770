/** The line that Node keeps between a parent and its worker, as coordination sees it. */
import type { Channel } from './messages.ts'

/** A process as its parent has it, or the one that runs here. */
export interface End {
  send?:
    | ((message: object, handle: undefined, options: undefined, sent: (error: Error | null) => void) => boolean)
    | undefined
  on(event: 'message', heard: (message: unknown) => void): unknown
  off(event: 'message', heard: (message: unknown) => void): unknown
}

/** So many that the other side has not taken say that it is not at work. */
const mostUntaken = 20_000

export function openChannel<Out extends object, In>(
  end: End,
  isIn: (message: unknown) => message is In,
): Channel<Out, In> {
  let untaken = 0
  const sent = () => {
    untaken--
  }
  return {
    send(message) {
      if (!end.send || untaken >= mostUntaken) return false
      untaken++
      try {
        end.send(message, undefined, undefined, sent)
        return true
      } catch {
        // It is closed: the end of the process on the other side is told otherwise.
        sent()
        return false
      }
    },
    listen(heard) {
      const take = (message: unknown) => {
        if (isIn(message)) heard(message)
      }
      end.on('message', take)
      return () => void end.off('message', take)
    },
  }
}
