// The numbers of the HTTP/2 wire format (RFC 9113) and the smallest frame writers. Frame header:
// length 3 bytes, type 1, flags 1, stream id 4, all big-endian.

export { readUint32, writeUint32 } from "../../base/bytes.ts";

export const FRAME_HEADER_BYTES = 9;
export const GRPC_PREFIX_BYTES = 5;
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;
export const MAX_FRAME_BYTES = 16_777_215;
export const MAX_WINDOW_BYTES = 2_147_483_647;
export const MAX_STREAM_ID = 2_147_483_647;
export const DEFAULT_TABLE_BYTES = 4_096;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const Flag = {
  ACK: 0x1,
  END_STREAM: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

export const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Writes a frame header at `at` and returns the offset behind it. */
export function writeFrameHeader(
  target: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  target[at] = length >>> 16;
  target[at + 1] = length >>> 8;
  target[at + 2] = length;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = streamId >>> 24;
  target[at + 6] = streamId >>> 16;
  target[at + 7] = streamId >>> 8;
  target[at + 8] = streamId;
  return at + FRAME_HEADER_BYTES;
}

/** Copies source[start, end) to `at` and returns the offset behind it. A loop beats the call for short pieces. */
export function copyBytes(
  target: Buffer,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length <= 96) {
    for (let i = 0; i < length; i++) target[at + i] = source[start + i] as number;
  } else if (start === 0 && end === source.length) {
    target.set(source, at);
  } else {
    target.set(new Uint8Array(source.buffer, source.byteOffset + start, length), at);
  }
  return at + length;
}
