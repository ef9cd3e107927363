// Keys and values as callers give them: text or bytes. Text is UTF-8.

/** A key or a value. Strings are sent as UTF-8. */
export type Bytes = string | Uint8Array;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The bytes of `input`. A Uint8Array is passed on, not copied: do not change it while a call runs. */
export function toBytes(input: Bytes): Uint8Array {
  return typeof input === "string" ? encoder.encode(input) : input;
}

/** `bytes` as UTF-8; what is not UTF-8 becomes U+FFFD. */
export function toText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function concatBytes(left: Uint8Array, right: Uint8Array): Uint8Array {
  const joined = new Uint8Array(left.length + right.length);
  joined.set(left);
  joined.set(right, left.length);
  return joined;
}

export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  return Buffer.compare(left, right);
}
