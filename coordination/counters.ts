/** What limiters count, among all nodes. */
export interface Counters {
  /**
   * Adds `by`, a whole number (0 only looks), and answers what the window holds now. A window begins with the first
   * addition after the last one ended and lasts `windowMs`. While nodes cannot hear of each other, each counts alone.
   */
  add(name: string, by: number, windowMs: number): Promise<number>
}
