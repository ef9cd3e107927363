// Remembers the last streams that closed, because what a frame on a closed stream means depends on how
// it closed: frames that crossed our RST_STREAM are ignored, others are the peer's error. Fixed memory.

const RING_SLOTS = 256;
const RESET_RING_SLOTS = 1024;

export type ClosedHow = "reset-by-us" | "ended" | "unknown";

export class ClosedStreams {
  readonly #ended = new Int32Array(RING_SLOTS);
  #endedAt = 0;
  #reset: Int32Array | undefined = undefined;
  #resetAt = 0;

  /** The stream ended on both sides, or the peer reset it. */
  addEnded(streamId: number): void {
    this.#ended[this.#endedAt] = streamId;
    this.#endedAt = (this.#endedAt + 1) & (RING_SLOTS - 1);
  }

  addReset(streamId: number): void {
    this.#reset ??= new Int32Array(RESET_RING_SLOTS);
    this.#reset[this.#resetAt] = streamId;
    this.#resetAt = (this.#resetAt + 1) & (RESET_RING_SLOTS - 1);
  }

  lookUp(streamId: number): ClosedHow {
    if (this.#reset?.includes(streamId)) return "reset-by-us";
    return this.#ended.includes(streamId) ? "ended" : "unknown";
  }
}
