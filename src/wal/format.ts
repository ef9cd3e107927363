// etcd's log format, as numbers and names. A segment is a file of frames: an 8-byte little-endian head (the low
// 56 bits are the record's length, the top byte is 0x80 | padding when the record is padded to 8 bytes),
// then the record, a protobuf message { type = 1, crc = 2, data = 3 }. The crc rolls over the data of all records
// of all segments. A head of zero ends a segment. See etcd server/storage/wal.

export const RecordType = { metadata: 1, entry: 2, hardState: 3, crc: 4, snapshot: 5 } as const;

export const frameHeadBytes = 8;
/** The unit that a disk writes whole or not at all. */
export const sectorBytes = 512;
/** A segment that has reached this size is followed by a new one. */
export const segmentBytesDefault = 64_000_000;

export interface WalEntry {
  readonly term: number;
  readonly index: number;
  /** 0 normal, 1 configuration change, 2 configuration change of the second form. */
  readonly type: number;
  readonly data: Uint8Array;
}

export interface WalHardState {
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
}

export interface WalSnapshot {
  readonly index: number;
  readonly term: number;
  /** Encoded raftpb.ConfState; empty for the one written when a log is created. */
  readonly confState: Uint8Array;
}

/** What the head of every segment says about whose log it is. */
export interface WalMetadata {
  readonly nodeId: bigint;
  readonly clusterId: bigint;
}

export interface SegmentName {
  /** 0 for the first segment of a log, then one more each. */
  readonly sequence: number;
  /** Entries in the segment have at least this index, unless later ones replace earlier ones. */
  readonly firstIndex: number;
}

export function segmentFileName(sequence: number, firstIndex: number): string {
  const hex = (value: number): string => value.toString(16).padStart(16, "0");
  return `${hex(sequence)}-${hex(firstIndex)}.wal`;
}

/** Undefined when the name is not a segment's. */
export function parseSegmentFileName(name: string): SegmentName | undefined {
  const match = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/.exec(name);
  if (match === null) return undefined;
  return {
    sequence: Number.parseInt(match[1] as string, 16),
    firstIndex: Number.parseInt(match[2] as string, 16),
  };
}

/** The frame head of a record of `recordBytes`, written at `at`. Returns how many bytes of padding it announces. */
export function writeFrameHead(target: DataView, at: number, recordBytes: number): number {
  const padding = (8 - (recordBytes & 7)) & 7;
  target.setUint32(at, recordBytes >>> 0, true);
  const high = Math.floor(recordBytes / 0x1_0000_0000);
  target.setUint32(at + 4, padding === 0 ? high : high | ((0x80 | padding) << 24), true);
  return padding;
}
