/** Times and sizes as people write them. Times follow Go's notation, because distribution's files are written in it. */

const msPer: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
}
const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y
const nanosecondsPerMs = 1e6

/** Milliseconds; nothing where the text is no duration. A bare whole number is nanoseconds, as in distribution. */
export function parseDuration(text: string): number | undefined {
  if (isBareNumber(text)) return Number(text) / nanosecondsPerMs
  let ms = 0
  part.lastIndex = 0
  while (part.lastIndex < text.length) {
    const [, amount, unit = ''] = part.exec(text) ?? []
    if (amount === undefined) return undefined
    ms += Number(amount) * (msPer[unit] ?? Number.NaN)
  }
  // 1.1 hours are 3,960,000 ms and not a trace more.
  return text !== '' && Number.isFinite(ms) ? Number(ms.toFixed(6)) : undefined
}

/** Whoever writes `168` seldom means 168 nanoseconds. */
export function isBareNumber(text: string): boolean {
  return /^\d+$/.test(text)
}

/** Written so that `parseDuration` understands it. */
export function formatDuration(ms: number): string {
  let whole = Math.floor(ms)
  let text = ''
  for (const unit of ['h', 'm', 's', 'ms']) {
    const length = msPer[unit] ?? 1
    const amount = Math.floor(whole / length)
    whole -= amount * length
    if (amount > 0) text += `${amount}${unit}`
  }
  const nanoseconds = Math.round((ms % 1) * nanosecondsPerMs)
  if (nanoseconds > 0) text += `${nanoseconds}ns`
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
