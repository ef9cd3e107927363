// Tells a torn last write from damage. A disk writes sectors of 512 bytes whole or not at all, into zeros: what a
// crash leaves of an unfinished write has sectors of zeros, and nothing behind it was acknowledged. Everything
// else is damage: the log once said something there that someone may have been told.

import { updateCrc32c } from "../base/crc32c.ts";
import { FieldReader, WireType } from "../base/varint.ts";
import type { DiskFile } from "../io/disk.ts";
import { frameHeadBytes, RecordType, sectorBytes } from "./format.ts";
import type { SegmentStop } from "./segment-reader.ts";

/** What stands at the end of the last segment: `garbageEnd` is behind its last byte that is not zero. */
export type TailVerdict =
  | { readonly kind: "clean" }
  | { readonly kind: "torn"; readonly garbageEnd: number }
  | { readonly kind: "damaged"; readonly text: string };

const chunkBytes = 1024 * 1024;
const zeros = Buffer.alloc(chunkBytes);

/** Judges what is at `offset` of the last segment, where reading stopped; `lastIndex` is the last sound entry's. */
export async function judgeTail(
  file: DiskFile,
  offset: number,
  sizeBytes: number,
  stop: SegmentStop,
  lastIndex: number,
): Promise<TailVerdict> {
  if (stop.kind === "end") return { kind: "clean" };
  // Segments are laid out in full before they are used: a crash does not make them shorter.
  if (stop.kind === "short") return { kind: "damaged", text: stop.text };
  const garbageEnd = await lastNonZero(file, offset, sizeBytes);
  if (garbageEnd === offset) return { kind: "clean" };
  const rest = Buffer.allocUnsafeSlow(garbageEnd - offset);
  await file.read(rest, offset);
  const frameEnd = stop.kind === "broken" ? stop.end - offset : frameHeadBytes;
  if (stop.kind === "zero") {
    const sectorEnd = sectorBytes - (offset % sectorBytes);
    if (!isZero(rest, 0, Math.min(sectorEnd, rest.length))) {
      return { kind: "damaged", text: "expected a frame head, found zeros with data behind" };
    }
  } else if (!hasZeroSector(rest, offset, frameEnd)) {
    return { kind: "damaged", text: stop.text };
  }
  if (wasFollowedByAppends(rest, lastIndex)) {
    const what = stop.kind === "broken" ? stop.text : "expected a frame head, found zeros";
    return { kind: "damaged", text: `${what}, with later appends behind` };
  }
  return { kind: "torn", garbageEnd };
}

/** True when the file is zero from `offset` to its end. */
export async function isZeroFrom(
  file: DiskFile,
  offset: number,
  sizeBytes: number,
): Promise<boolean> {
  return (await lastNonZero(file, offset, sizeBytes)) === offset;
}

/** The offset behind the last byte that is not zero, at least `offset`. */
async function lastNonZero(file: DiskFile, offset: number, sizeBytes: number): Promise<number> {
  const chunk = Buffer.allocUnsafeSlow(Math.max(0, Math.min(chunkBytes, sizeBytes - offset)));
  let last = offset;
  for (let at = offset; at < sizeBytes; at += chunk.length) {
    const count = await file.read(chunk.subarray(0, Math.min(chunk.length, sizeBytes - at)), at);
    if (isZero(chunk, 0, count)) continue;
    let end = count;
    while (chunk[end - 1] === 0) end--;
    last = at + end;
  }
  return last;
}

function isZero(source: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += chunkBytes) {
    const length = Math.min(chunkBytes, end - at);
    if (source.compare(zeros, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}

/** True when a sector's part of the record (its frame begins at file offset `offset`) is all zeros. */
function hasZeroSector(rest: Buffer, offset: number, frameEnd: number): boolean {
  let at = frameHeadBytes;
  while (at < frameEnd) {
    const sectorEnd = Math.min(frameEnd, at + sectorBytes - ((offset + at) % sectorBytes));
    // Behind `rest` the file is zero.
    if (isZero(rest, Math.min(at, rest.length), Math.min(sectorEnd, rest.length))) return true;
    at = sectorEnd;
  }
  return false;
}

/**
 * True when intact records behind the break prove that the append with the break was complete: a hard state that
 * commits more than what stands before the break, and an entry behind it. An append ends with its hard state, so
 * that entry belongs to a later append, and no append begins before the one before it is durable.
 */
function wasFollowedByAppends(rest: Buffer, lastIndex: number): boolean {
  let committed = false;
  let at = frameHeadBytes;
  let previous: Frame | undefined;
  while (at + frameHeadBytes < rest.length) {
    const frame = parseFrame(rest, at);
    // A record is believed when its checksum follows from that of the record before it.
    const believed =
      frame !== undefined &&
      previous !== undefined &&
      updateCrc32c(previous.crc, rest, frame.dataStart, frame.dataEnd) === frame.crc;
    if (believed) {
      if (committed && frame.type === RecordType.entry) return true;
      if (frame.type === RecordType.hardState && commitOf(rest, frame) > lastIndex)
        committed = true;
    }
    previous = frame;
    at = frame === undefined ? at + 8 : frame.end;
  }
  return false;
}

interface Frame {
  readonly type: number;
  readonly crc: number;
  readonly dataStart: number;
  readonly dataEnd: number;
  readonly end: number;
}

/** The frame at `at` when its lengths and fields fit together; its checksum is not looked at. */
function parseFrame(source: Buffer, at: number): Frame | undefined {
  const low = source.readUInt32LE(at);
  const high = source.readUInt32LE(at + 4);
  const start = at + frameHeadBytes;
  const recordEnd = start + low;
  const end = recordEnd + (high >>> 24 >= 0x80 ? (high >>> 24) & 7 : 0);
  if (low < 4 || (high & 0xff_ffff) !== 0 || recordEnd > source.length || end % 8 !== at % 8) {
    return undefined;
  }
  const type = source[start + 1] as number;
  if (source[start] !== 0x08 || type < 1 || type > 5 || source[start + 2] !== 0x10)
    return undefined;
  try {
    const fields = new FieldReader(source, start + 2, recordEnd);
    fields.next();
    const crc = fields.low;
    if (!fields.next() || fields.field !== 3 || fields.wireType !== WireType.bytes)
      return undefined;
    if (fields.valueEnd !== recordEnd) return undefined;
    return { type, crc, dataStart: fields.valueStart, dataEnd: recordEnd, end };
  } catch {
    return undefined;
  }
}

function commitOf(source: Buffer, frame: Frame): number {
  const fields = new FieldReader(source, frame.dataStart, frame.dataEnd);
  while (fields.next()) if (fields.field === 3) return fields.uint64();
  return 0;
}
