/** How far a command has come, on standard error: a bar for a person, a line of JSON each second for a program. */

import { isatty } from 'node:tty'
import type { SingleBar } from 'cli-progress'
import type { Progress, Tell } from '../upkeep/operations.ts'
import { formatBytes } from './output.ts'

const toldEveryMs = 1000

export interface ShownProgress {
  readonly tell: Tell
  /** A sentence between two lines of progress; for people only. */
  say(sentence: string): void
  /** Takes the bar away. */
  end(): void
}

export function createProgress(quiet = false): ShownProgress {
  if (quiet) return { tell: () => {}, say: () => {}, end: () => {} }
  return isatty(2) ? createBar() : createLines()
}

function createLines(): ShownProgress {
  let told = performance.now()
  return {
    tell(progress) {
      const now = performance.now()
      if (now - told < toldEveryMs) return
      told = now
      console.error(JSON.stringify({ progress }))
    },
    say: (sentence) => console.error(sentence),
    end: () => {},
  }
}

function createBar(): ShownProgress {
  let bar: SingleBar | undefined
  let loading = false
  let shown: Progress | undefined
  const end = (): void => {
    bar?.stop()
    bar = undefined
    shown = undefined
  }
  const update = (progress: Progress): void => bar?.update(progress.done, { progress })
  async function begin(): Promise<void> {
    loading = true
    const { default: cliProgress } = await import('cli-progress')
    loading = false
    if (!shown) return
    bar = new cliProgress.SingleBar({
      format: barLine,
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    })
    bar.start(shown.total ?? shown.done, shown.done, { progress: shown })
  }
  return {
    tell(progress) {
      shown = progress
      if (!bar && !loading) void begin()
      bar?.setTotal(progress.total ?? progress.done)
      update(progress)
    },
    say(sentence) {
      end()
      console.error(sentence)
    },
    end,
  }
}

const barWidth = 30

function barLine(_options: object, _params: object, { progress }: { progress: Progress }): string {
  const { phase, done, total, unit } = progress
  const figure = (count: number): string => (unit === 'bytes' ? formatBytes(count) : `${count}`)
  const of = unit === 'bytes' ? '' : ` ${unit}`
  if (total === undefined || total === 0) return `${phase}  ${figure(done)}${of}`
  const share = Math.min(1, done / total)
  const filled = Math.round(share * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  return `${phase}  ${bar} ${Math.floor(share * 100)} %  ${figure(done)} of ${figure(total)}${of}`
}
