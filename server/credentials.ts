/** The `Authorization` header (RFC 7235, 7617, 6750) as credentials. */
import type { Credentials } from '../auth/access.ts'

/**
 * What a header that cannot be read stands for. Taken for none it might pass as anonymous, although the caller meant to
 * be somebody; so it is a user who cannot exist, because no Basic user name holds a colon, and the controller in charge
 * refuses it with its own challenge.
 */
const unreadable: Credentials = { scheme: 'basic', username: ':', password: '' }
const none: Credentials = { scheme: 'none' }

const header = /^([A-Za-z]+) +(\S+)$/
const base64 = /^[A-Za-z0-9+/]+={0,2}$/
/** RFC 6750, 2.1: b68token. */
const bearerToken = /^[A-Za-z0-9._~+/-]+=*$/
/** RFC 7617, 2: neither part may hold one. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controlCharacter = /[\u0000-\u001f\u007f]/
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function parseCredentials(authorization: string | undefined): Credentials {
  const text = authorization?.trim()
  if (!text) return none
  const [, scheme = '', value = ''] = header.exec(text) ?? []
  switch (scheme.toLowerCase()) {
    case 'basic':
      return parseBasic(value)
    case 'bearer':
      return bearerToken.test(value) ? { scheme: 'bearer', token: value } : unreadable
    default:
      return unreadable
  }
}

function parseBasic(value: string): Credentials {
  const text = base64.test(value) ? decode(Buffer.from(value, 'base64')) : undefined
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon === -1 || controlCharacter.test(text)) return unreadable
  const username = text.slice(0, colon)
  const password = text.slice(colon + 1)
  // Clients with an empty entry in their credential store send `:`; they mean nobody.
  if (username === '' && password === '') return none
  return { scheme: 'basic', username, password }
}

/** A password in another encoding than UTF-8 would lose what tells it from others. */
function decode(bytes: Buffer): string | undefined {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}
