// Defaults of the HTTP/2 limits, and the check that a set of them makes sense.

import { assert } from "../../base/assert.ts";
import { DEFAULT_FRAME_BYTES, MAX_FRAME_BYTES, MAX_WINDOW_BYTES } from "./frames.ts";
import type { Http2Options } from "./types.ts";

/**
 * Windows are large because a gRPC message that waits for a WINDOW_UPDATE costs a round trip. The
 * rates allow what real peers do on a fast loopback: grpc-go measures bandwidth with a PING for each
 * batch of DATA, and deadlines that pass together reset thousands of streams at once.
 */
export const defaultHttp2Options: Required<Http2Options> = {
  maxConcurrentStreams: 10_000,
  streamWindowBytes: 1 << 20,
  connectionWindowBytes: 8 << 20,
  maxFrameBytes: DEFAULT_FRAME_BYTES,
  headerListBytesMax: 64 << 10,
  headerTableBytes: 4_096,
  encoderTableBytesMax: 4_096,
  continuationsMax: 64,
  settingsPerSecondMax: 200,
  pingsPerSecondMax: 50_000,
  emptyDataPerSecondMax: 1_000,
  resetsPerSecondMax: 5_000,
  prioritiesPerSecondMax: 2_000,
  windowUpdatesPerSecondMax: 20_000,
  unknownFramesPerSecondMax: 1_000,
  sessionBytesMax: 64 << 20,
  totalBytesMax: 512 << 20,
  streamHighWaterBytes: 64 << 10,
  streamLowWaterBytes: 16 << 10,
  handshakeTimeoutMs: 10_000,
  writeStallTimeoutMs: 60_000,
  streamStallTimeoutMs: 10_000,
  pendingStreamsMax: 10_000,
};

export function completeOptions(options: Http2Options | undefined): Required<Http2Options> {
  const complete = { ...defaultHttp2Options };
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value !== undefined) complete[name as keyof Http2Options] = value as number;
  }
  assert(complete.maxConcurrentStreams > 0, "maxConcurrentStreams must be positive");
  assert(
    complete.maxFrameBytes >= DEFAULT_FRAME_BYTES && complete.maxFrameBytes <= MAX_FRAME_BYTES,
    "maxFrameBytes must be 16384 to 16777215",
  );
  for (const bytes of [complete.streamWindowBytes, complete.connectionWindowBytes]) {
    assert(bytes > 0 && bytes <= MAX_WINDOW_BYTES, "windows must be 1 to 2^31-1 bytes");
  }
  assert(
    complete.streamLowWaterBytes <= complete.streamHighWaterBytes,
    "the low-water mark must not be above the high-water mark",
  );
  return complete as Required<Http2Options>;
}
