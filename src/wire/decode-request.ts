// Decodes requests that come from outside: what can not be read is the sender's error, whatever a decoder throws.

import { Status, StatusError } from "../base/status.ts";

/** The bytes of a request are not one. */
export class UnreadableRequest extends StatusError {
  constructor(cause: unknown) {
    super(Status.INTERNAL, `malformed protobuf: ${(cause as Error).message}`, { cause });
  }
}

/** source[start, end) as a message; throws UnreadableRequest when it is not one. */
export function decodeRequest<T>(
  codec: { decode(bytes: Uint8Array): T },
  source: Uint8Array,
  start: number,
  end: number,
): T {
  try {
    return codec.decode(source.subarray(start, end));
  } catch (error) {
    throw new UnreadableRequest(error);
  }
}
