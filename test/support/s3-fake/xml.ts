/** As much XML as S3 speaks: elements and text, never an attribute that matters. */

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

const escapeText = (text: string): string => text.replace(/[&<>"']/g, (letter) => escapes[letter] ?? letter)

export function element(name: string, content: string | number | boolean): string {
  return `<${name}>${escapeText(String(content))}</${name}>`
}

export function parent(name: string, children: readonly string[]): string {
  return `<${name}>${children.join('')}</${name}>`
}

/** A document of the S3 namespace. */
export function document(name: string, children: readonly string[]): Buffer {
  const opened = `<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${opened}${children.join('')}</${name}>`)
}

/** A document without one, as errors are. */
export function textDocument(name: string, children: readonly string[]): Buffer {
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${parent(name, children)}`)
}

/** What stands in every element of this name, markup included. */
export function contentsOf(text: string, name: string): string[] {
  const found = text.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, 'g'))
  return Array.from(found, ([, content]) => content ?? '')
}

/** The text of the first element of this name. */
export function textOf(text: string, name: string): string | undefined {
  const content = contentsOf(text, name)[0]
  return content?.replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, entity: string) => decodeEntity(entity) ?? whole)
}

function decodeEntity(entity: string): string | undefined {
  if (!entity.startsWith('#')) return named[entity]
  const hex = entity[1]?.toLowerCase() === 'x'
  return String.fromCodePoint(Number.parseInt(entity.slice(hex ? 2 : 1), hex ? 16 : 10))
}
