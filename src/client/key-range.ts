// Which keys a call is about: one key, a prefix, an interval, or all of them, and the `key` and
// `range_end` bytes that say so on the wire.

import { type Bytes, toBytes } from "./bytes.ts";

/** Several keys. `to` is exclusive. */
export type KeyRange =
  | { readonly prefix: Bytes }
  | { readonly from: Bytes; readonly to?: Bytes }
  | { readonly all: true };

/** One key, or several. */
export type KeySelector = Bytes | KeyRange;

/** A range as requests carry it. An empty `rangeEnd` means the one key; a single zero byte means "to the end". */
export interface WireRange {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

const NOTHING = new Uint8Array(0);
const ZERO = Uint8Array.of(0);

/** All keys that begin with `prefix`; with an empty prefix, all keys. */
export function prefix(prefix: Bytes): KeyRange {
  return { prefix };
}

/** All keys from `from` to before `to`, or to the end. */
export function range(from: Bytes, to?: Bytes): KeyRange {
  return to === undefined ? { from } : { from, to };
}

/** Every key there is. */
export const allKeys: KeyRange = Object.freeze({ all: true });

export function isKeyRange(selector: KeySelector): selector is KeyRange {
  return typeof selector === "object" && !(selector instanceof Uint8Array);
}

export function toWireRange(selector: KeySelector): WireRange {
  if (!isKeyRange(selector)) return { key: toBytes(selector), rangeEnd: NOTHING };
  if ("all" in selector) return { key: ZERO, rangeEnd: ZERO };
  if ("prefix" in selector) {
    const key = toBytes(selector.prefix);
    return key.length === 0 ? { key: ZERO, rangeEnd: ZERO } : { key, rangeEnd: prefixEnd(key) };
  }
  const from = toBytes(selector.from);
  const key = from.length === 0 ? ZERO : from;
  return { key, rangeEnd: selector.to === undefined ? ZERO : toBytes(selector.to) };
}

/** The first key after every key that begins with `prefix`; a single zero byte when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let index = prefix.length - 1; index >= 0; index--) {
    const byte = prefix[index] as number;
    if (byte < 0xff) {
      const end = prefix.slice(0, index + 1);
      end[index] = byte + 1;
      return end;
    }
  }
  return ZERO;
}

/** The first key after `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

export function isOpenEnded(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}
