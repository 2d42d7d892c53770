/** What nodes tell each other, without a promise that it arrives. */
export interface Notices {
  /**
   * Tells everybody who listens to `topic` on any node, this one included. Never waits and never fails; a notice is lost
   * where nodes cannot hear of each other just then. Whoever must not miss anything asks SQL.
   */
  tell(topic: string, text: string): void
  /** Listens until the function it returns is called. What was told before is not heard. */
  listen(topic: string, heard: (text: string) => void): () => void
}
