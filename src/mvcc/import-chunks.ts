// Packs imported changes into chunks of history, by the same rule as a generation does for new ones.

import { changeHeadBytesMax, chunkBytesMax, writeChangeHead } from "./history-chunk.ts";
import { type Location, revisionKey } from "./row-codec.ts";

interface PackedChunk {
  readonly key: Buffer;
  readonly value: Buffer;
}

const slabBytes = 256 * 1024;

export class ChunkWriter {
  /** The chunk of the change that was added last. */
  chunkMain = 0;
  chunkSub = 0;
  /** Of chunks that are complete and not taken yet. */
  sizeBytes = 0;
  #chunks: PackedChunk[] = [];
  #slab: Buffer = Buffer.alloc(0);
  #at = 0;
  #chunkStart = 0;

  /** Appends a change whose encoded KeyValue is source[start, end). */
  add(
    source: Buffer,
    start: number,
    end: number,
    main: number,
    sub: number,
    isTombstone: boolean,
    replaced: Location | undefined,
  ): void {
    const size = end - start;
    this.#reserve(size + changeHeadBytesMax, main, sub);
    const slab = this.#slab;
    this.#at = writeChangeHead(
      slab,
      this.#at,
      this.chunkMain,
      main,
      sub,
      isTombstone,
      replaced,
      size,
    );
    this.#at += source.copy(slab, this.#at, start, end);
  }

  /** Completes the chunk that is open. */
  close(): void {
    if (this.#at === this.#chunkStart) return;
    const value = this.#slab.subarray(this.#chunkStart, this.#at);
    this.#chunks.push({ key: revisionKey(this.chunkMain, this.chunkSub), value });
    this.sizeBytes += value.length;
    this.#chunkStart = this.#at;
  }

  /** The complete chunks, in order. */
  take(): readonly PackedChunk[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.sizeBytes = 0;
    return chunks;
  }

  #reserve(bytesMax: number, main: number, sub: number): void {
    const fitsChunk = this.#at - this.#chunkStart + bytesMax <= chunkBytesMax;
    const fitsSlab = this.#at + bytesMax <= this.#slab.length;
    if (fitsChunk && fitsSlab && this.#at > this.#chunkStart) return;
    this.close();
    if (!fitsSlab || this.#slab.length - this.#at < chunkBytesMax) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, bytesMax));
      this.#at = 0;
      this.#chunkStart = 0;
    }
    this.chunkMain = main;
    this.chunkSub = sub;
  }
}
