/**
 * Two logs. The program's own goes to standard error at once, so that the last line before a crash is there. The access
 * log goes to standard output, one line a request, buffered: it may not cost a request anything.
 */
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'

export type { Logger } from 'pino'

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'
export type LogFormatter = 'text' | 'json' | 'logstash'
export type LogFields = Readonly<Record<string, string>>

export interface LogOptions {
  readonly level: LogLevel
  readonly formatter: LogFormatter
  /** Said with every line. */
  readonly fields?: LogFields
  /** Standard error unless something else is given; with colours where it is a terminal. */
  readonly output?: DestinationStream & { readonly isTTY?: boolean }
}

const secretKeys = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'password',
  'secret',
  'secretkey',
  'token',
  'access_token',
  'refresh_token',
]
const redact = {
  paths: secretKeys.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`]),
  censor: '[redacted]',
}

/** Asynchronous because the readable form for a terminal is loaded only where there is one. */
export async function openLog(options: LogOptions): Promise<Logger> {
  const output = options.output ?? standardError()
  if (options.formatter !== 'text') return pino(pinoOptions(options), output)
  return pino(pinoOptions(options), through(output.isTTY ? await terminalLine() : textLine, output))
}

function standardError(): DestinationStream & { readonly isTTY: boolean } {
  return Object.assign(pino.destination({ dest: 2, sync: true }), { isTTY: process.stderr.isTTY === true })
}

function pinoOptions({ level, formatter, fields }: LogOptions): LoggerOptions {
  const formatters = { level: (label: string) => ({ level: label }) }
  if (formatter !== 'logstash') {
    return { level, redact, formatters, base: { ...fields }, timestamp: pino.stdTimeFunctions.isoTime }
  }
  const timestamp = () => `,"@timestamp":"${new Date().toISOString()}"`
  return { level, redact, formatters, messageKey: 'message', timestamp, base: { '@version': '1', ...fields } }
}

function through(format: (json: string) => string, output: DestinationStream): DestinationStream {
  return { write: (json) => output.write(format(json)) }
}

async function terminalLine(): Promise<(json: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({ colorize: true, singleLine: true, translateTime: 'SYS:HH:MM:ss.l' })
}

function textLine(json: string): string {
  const { time, level, msg, ...rest } = JSON.parse(json) as Record<string, unknown>
  return `${keyValues({ time, level, msg, ...rest })}\n`
}

/** One pass without arrays in between: this runs for every request. */
function keyValues(record: Readonly<Record<string, unknown>>): string {
  let line = ''
  for (const key in record) {
    const value = record[key]
    if (value === undefined || value === '') continue
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    line += `${line && ' '}${key}=${bare.test(text) ? text : quote(text)}`
  }
  return line
}

const bare = /^[!#-<>-[\]-~]+$/
/** Beyond what JSON escapes: a terminal obeys C1 controls too, and some readers break lines at the last two. */
const unescaped = /[\u007f-\u009f\u2028\u2029]/g

/** What callers send cannot forge a line or a field. */
function quote(text: string): string {
  return JSON.stringify(text).replace(unescaped, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export interface AccessRecord {
  /** The request's id. */
  readonly id: string
  readonly identity?: string | undefined
  readonly client: string
  readonly method: string
  /** The raw path with its query; `write` takes out of it what may be secret. */
  readonly path: string
  readonly status: number
  readonly received: number
  readonly sent: number
  readonly ms: number
  readonly agent?: string | undefined
}

export interface AccessLogOptions {
  readonly formatter: LogFormatter
  readonly fields?: LogFields
  /** A file, or standard output. */
  readonly destination?: string
}

export interface AccessLog {
  write(record: AccessRecord): void
  /** Lines lost because nobody took them out of the buffer. */
  readonly dropped: number
  /** Writes what is buffered; nothing is taken afterwards. */
  close(): Promise<void>
}

const bufferBytes = 4000
const mostBufferedBytes = 8 * 1024 * 1024
const flushAfterMs = 1000
const longestCloseMs = 2000

export function openAccessLog({ formatter, fields = {}, destination }: AccessLogOptions): AccessLog {
  const output = pino.destination({
    dest: destination ?? 1,
    sync: false,
    minLength: bufferBytes,
    maxLength: mostBufferedBytes,
    // A pipe takes no more at once, and several processes may write to it.
    maxWrite: 4096,
    periodicFlush: flushAfterMs,
  })
  let dropped = 0
  let closed = false
  output.on('drop', () => dropped++)
  // A full disk or a reader that has left must neither end the registry nor hold up its end.
  let readerLeft = false
  output.on('error', (error: NodeJS.ErrnoException) => {
    dropped++
    readerLeft ||= error.code === 'EPIPE'
  })
  return {
    write: (record) => void (closed || output.write(accessLine(record, formatter, fields))),
    get dropped() {
      return dropped
    },
    close() {
      if (closed || readerLeft) return Promise.resolve()
      closed = true
      return new Promise((resolve) => {
        for (const end of ['close', 'error']) output.once(end, () => resolve())
        setTimeout(resolve, longestCloseMs).unref()
        output.end()
      })
    },
  }
}

/** One request as one line, with its line break. */
export function accessLine(record: AccessRecord, formatter: LogFormatter, fields: LogFields = {}): string {
  const time = new Date().toISOString()
  const { agent, ms } = record
  const told = {
    ...record,
    path: withoutSecrets(record.path).slice(0, 2048),
    ms: Math.round(ms * 1000) / 1000,
    agent: agent?.slice(0, 256),
  }
  switch (formatter) {
    case 'text':
      return `${keyValues({ time, level: 'info', msg: 'request', ...fields, ...told })}\n`
    case 'json':
      return `${JSON.stringify({ level: 'info', time, ...fields, msg: 'request', ...told })}\n`
    case 'logstash':
      return `${JSON.stringify({ '@timestamp': time, '@version': '1', level: 'info', ...fields, message: 'request', ...told })}\n`
  }
}

/** The parameters of the protocols we speak. Any other may be a token or a code, so its value stays out of the log. */
const toldParameters = new Set(
  'digest mount from n last tag artifactType ns account service scope client_id offline_token'.split(' '),
)

function withoutSecrets(path: string): string {
  const query = path.indexOf('?')
  if (query === -1) return path
  const parameters = path.slice(query + 1, query + 2048).split('&')
  return `${path.slice(0, query)}?${parameters.map(tellParameter).join('&')}`
}

function tellParameter(parameter: string): string {
  const equals = parameter.indexOf('=')
  if (equals === -1) return parameter
  const name = parameter.slice(0, equals)
  return toldParameters.has(name) ? parameter : `${name}=[redacted]`
}
