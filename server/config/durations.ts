/** Times and sizes as people write them. Times follow Go's notation, because distribution's files are written in it. */

const nanosecondsPer: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
}
const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y
const nanosecondsPerMs = 1e6

/** Milliseconds; nothing where the text is no duration. A bare whole number is nanoseconds, as in distribution. */
export function parseDuration(text: string): number | undefined {
  if (isBareNumber(text)) return Number(text) / nanosecondsPerMs
  let nanoseconds = 0
  part.lastIndex = 0
  while (part.lastIndex < text.length) {
    const [, amount, unit = ''] = part.exec(text) ?? []
    if (amount === undefined) return undefined
    nanoseconds += Number(amount) * (nanosecondsPer[unit] ?? Number.NaN)
  }
  return text === '' ? undefined : nanoseconds / nanosecondsPerMs
}

/** Whoever writes `168` seldom means 168 nanoseconds. */
export function isBareNumber(text: string): boolean {
  return /^\d+$/.test(text)
}

/** The shortest way to write it down that `parseDuration` understands. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms * nanosecondsPerMs)
  let text = ''
  for (const unit of ['h', 'm', 's', 'ms', 'us', 'ns']) {
    const length = nanosecondsPer[unit] ?? 1
    const amount = Math.floor(rest / length)
    rest -= amount * length
    if (amount > 0) text += `${amount}${unit}`
  }
  return text === '' ? '0s' : text
}

const bytesPer: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** Whole bytes; a bare number is bytes. */
export function parseSize(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? []
  const factor = bytesPer[unit.toLowerCase()]
  if (amount === undefined || factor === undefined) return undefined
  const bytes = Math.round(Number(amount) * factor)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
