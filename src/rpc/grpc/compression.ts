// gzip on single messages. Both directions are synchronous, so that messages keep their order without
// a queue; what a message may expand to is bounded before it is expanded.

import { constants, gunzipSync, gzipSync } from "node:zlib";
import { Status } from "../../base/status.ts";
import type { ReadFailure } from "./message-reader.ts";
import type { Encoding } from "./types.ts";

/** Value of grpc-accept-encoding. */
export const acceptEncoding = "gzip";

/** The encoding by its header value; undefined for one that is not known here. */
export function parseEncoding(text: string | undefined): Encoding | undefined {
  if (text === undefined || text === "" || text === "identity") return "identity";
  return text === "gzip" ? "gzip" : undefined;
}

/** True when a grpc-accept-encoding value names gzip. */
export function acceptsGzip(text: string | undefined): boolean {
  if (text === undefined) return false;
  return text.split(",").some((name) => name.trim().toLowerCase() === "gzip");
}

export function compressMessage(source: Uint8Array, start: number, end: number): Buffer {
  return gzipSync(source.subarray(start, end), { level: constants.Z_BEST_SPEED });
}

/** The expanded message, or why there is none. Never allocates more than `limitBytes` for it. */
export function expandMessage(
  source: Buffer,
  start: number,
  end: number,
  limitBytes: number,
): Buffer | ReadFailure {
  if (start === end) return Buffer.alloc(0);
  try {
    return gunzipSync(source.subarray(start, end), { maxOutputLength: Math.max(1, limitBytes) });
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") {
      const message = `grpc: received message after decompression larger than max ${limitBytes}`;
      return { code: Status.RESOURCE_EXHAUSTED, message };
    }
    const message = `grpc: failed to decompress the received message: ${(error as Error).message}`;
    return { code: Status.INTERNAL, message };
  }
}
