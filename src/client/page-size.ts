// How many pairs to ask for at a time, so that a page is about a mebibyte whatever the values' size.

import type { KeyValue } from "../wire/generated/kv.ts";

const TARGET_BYTES = 1 << 20;
const FIRST_LIMIT = 512;
const LIMIT_MIN = 8;
const LIMIT_MAX = 16_384;

export class PageSize {
  #limit = FIRST_LIMIT;

  get limit(): number {
    return this.#limit;
  }

  /** Learns from a full page. */
  note(kvs: readonly KeyValue[]): void {
    let bytes = 0;
    for (const kv of kvs) bytes += kv.key.length + kv.value.length + 16;
    const wanted = Math.floor((TARGET_BYTES * kvs.length) / bytes);
    this.#limit = Math.max(LIMIT_MIN, Math.min(LIMIT_MAX, wanted));
  }
}
