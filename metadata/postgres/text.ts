/**
 * PostgreSQL has no NUL in text; manifests, names in storage and questions may. It is stored as two other characters, so
 * that everything keeps its place in byte order:
 *
 * ```
 * U+0000  as  U+0001 '0'
 * U+0001  as  U+0001 '1'
 * ```
 */
const nul = '\u0000'
const mark = '\u0001'

export function toStored(text: string): string {
  if (!text.includes(nul) && !text.includes(mark)) return text
  return text.replaceAll(mark, `${mark}1`).replaceAll(nul, `${mark}0`)
}

export function fromStored(text: string): string {
  return text.includes(mark) ? text.replaceAll(`${mark}0`, nul).replaceAll(`${mark}1`, mark) : text
}
