// CRC-32C (Castagnoli), rolling: the checksum of a joined b is updateCrc32c(updateCrc32c(0, a), b).
//
// Measured (Node 20, one busy 2-core machine, ns per call, for 50 B / 300 B / 4 KB):
//   slicing-by-8 on bytes 66 / 208 / 2538; slicing-by-16 on bytes 41 / 191 / 2377;
//   slicing-by-16 on a DataView made once 36 / 155 / 1598; @node-rs/crc32 with its subarray 169 / 189 / 559.
// Hence: slicing-by-16 for short input (DataView where the caller keeps one), native for long input.

import { crc32c as nativeCrc32c } from "@node-rs/crc32";

const nativeFromBytes = 400;
const table = makeTable();

/** The CRC of what `crc` covers followed by source[start, end). Start with 0. */
export function updateCrc32c(
  crc: number,
  source: Uint8Array,
  start = 0,
  end = source.length,
): number {
  if (end - start >= nativeFromBytes) return nativeCrc32c(source.subarray(start, end), crc);
  let c = ~crc;
  let at = start;
  for (const last = end - 16; at <= last; at += 16) {
    c =
      t(3840, c ^ byte(source, at)) ^
      t(3584, (c >>> 8) ^ byte(source, at + 1)) ^
      t(3328, (c >>> 16) ^ byte(source, at + 2)) ^
      t(3072, (c >>> 24) ^ byte(source, at + 3)) ^
      t(2816, byte(source, at + 4)) ^
      t(2560, byte(source, at + 5)) ^
      t(2304, byte(source, at + 6)) ^
      t(2048, byte(source, at + 7)) ^
      t(1792, byte(source, at + 8)) ^
      t(1536, byte(source, at + 9)) ^
      t(1280, byte(source, at + 10)) ^
      t(1024, byte(source, at + 11)) ^
      t(768, byte(source, at + 12)) ^
      t(512, byte(source, at + 13)) ^
      t(256, byte(source, at + 14)) ^
      t(0, byte(source, at + 15));
  }
  for (; at < end; at++) c = (c >>> 8) ^ t(0, c ^ byte(source, at));
  return ~c >>> 0;
}

/** As `updateCrc32c`, for a caller that keeps a DataView over a buffer it uses again and again. */
export function updateCrc32cView(crc: number, view: DataView, start: number, end: number): number {
  if (end - start >= 2 * nativeFromBytes) {
    return nativeCrc32c(new Uint8Array(view.buffer, view.byteOffset + start, end - start), crc);
  }
  let c = ~crc;
  let at = start;
  for (const last = end - 16; at <= last; at += 16) {
    const w = view.getInt32(at, true) ^ c;
    const x = view.getInt32(at + 4, true);
    const y = view.getInt32(at + 8, true);
    const z = view.getInt32(at + 12, true);
    c =
      t(3840, w) ^
      t(3584, w >>> 8) ^
      t(3328, w >>> 16) ^
      t(3072, w >>> 24) ^
      (t(2816, x) ^ t(2560, x >>> 8) ^ t(2304, x >>> 16) ^ t(2048, x >>> 24)) ^
      (t(1792, y) ^ t(1536, y >>> 8) ^ t(1280, y >>> 16) ^ t(1024, y >>> 24)) ^
      (t(768, z) ^ t(512, z >>> 8) ^ t(256, z >>> 16) ^ t(0, z >>> 24));
  }
  for (; at < end; at++) c = (c >>> 8) ^ t(0, c ^ view.getUint8(at));
  return ~c >>> 0;
}

/** Table `offset / 256`, at the low byte of `index`. */
function t(offset: number, index: number): number {
  return table[offset + (index & 255)] as number;
}

function byte(source: Uint8Array, at: number): number {
  return source[at] as number;
}

/** Sixteen tables of 256: table k advances a byte over k further zero bytes. */
function makeTable(): Int32Array {
  const made = new Int32Array(16 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0x82f6_3b78 : c >>> 1;
    made[i] = c;
  }
  for (let i = 256; i < made.length; i++) {
    const previous = made[i - 256] as number;
    made[i] = (previous >>> 8) ^ (made[previous & 255] as number);
  }
  return made;
}
