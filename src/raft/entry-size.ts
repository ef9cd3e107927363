// How much an entry weighs: its payload (what bounds a leader's uncommitted entries and what is in
// flight) and its protobuf encoding (what bounds messages and what is being applied).

import { varintSize } from "../base/varint.ts";
import type { Entry, Proposal } from "./types.ts";

/** Bytes of one raftpb.Entry. A normal entry has no type field, an empty one no data field. */
export function encodedSize(entry: Entry): number {
  const { length } = entry.data;
  let bytes = 2 + varintSize(entry.term) + varintSize(entry.index);
  if (entry.type !== 0) bytes += 2;
  if (length > 0) bytes += 1 + varintSize(length) + length;
  return bytes;
}

/** Sum of `encodedSize`. */
export function encodedSizeOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += encodedSize(entries[i] as Entry);
  return bytes;
}

/** Sum of the data alone: an empty entry weighs nothing. */
export function payloadSizeOf(entries: readonly Proposal[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += (entries[i] as Proposal).data.length;
  return bytes;
}

/**
 * The largest `end` for which entries[from, end) encode to at most `maxBytes`. At least one entry is
 * let through, however large, when there is one.
 */
export function endWithin(
  entries: readonly Entry[],
  from: number,
  to: number,
  maxBytes: number,
): number {
  if (maxBytes === Number.POSITIVE_INFINITY || to - from <= 1) return to;
  let bytes = encodedSize(entries[from] as Entry);
  for (let i = from + 1; i < to; i++) {
    bytes += encodedSize(entries[i] as Entry);
    if (bytes > maxBytes) return i;
  }
  return to;
}
