// The form of a command in the log: an InternalRaftRequest that holds a header with a request id and
// the client's request, whose bytes are copied in as they came, never decoded and encoded again.

import { Status, StatusError } from "../base/status.ts";
import { FieldReader, varintSize, WireType, writeVarint } from "../base/varint.ts";

const headerField = 100;

/** Encodes a command around message[start, end). `field` is the request's number in InternalRaftRequest. */
export function encodeCommand(
  field: number,
  requestId: number,
  message: Uint8Array,
  start: number,
  end: number,
): Buffer {
  const length = end - start;
  const tag = field * 8 + WireType.bytes;
  const idSize = varintSize(requestId);
  // header: tag (2 bytes), length (1), then ID = 1
  const size = 3 + 1 + idSize + varintSize(tag) + varintSize(length) + length;
  const data = Buffer.allocUnsafe(size);
  let at = writeVarint(data, 0, headerField * 8 + WireType.bytes);
  data[at++] = 1 + idSize;
  data[at++] = 0x08;
  at = writeVarint(data, at, requestId);
  at = writeVarint(data, at, tag);
  at = writeVarint(data, at, length);
  data.set(start === 0 && end === message.length ? message : message.subarray(start, end), at);
  return data;
}

/** Where a logged command's request lies: field number and source[start, end). Reused between calls. */
export class CommandView {
  field = 0;
  start = 0;
  end = 0;
  readonly #reader = new FieldReader(new Uint8Array(0));

  /** Finds the request in an entry's data; throws a StatusError when there is none. */
  read(data: Uint8Array): this {
    const reader = this.#reader.reset(data, 0, data.length);
    this.field = 0;
    while (reader.next()) {
      if (reader.wireType !== WireType.bytes || reader.field === headerField) continue;
      this.field = reader.field;
      this.start = reader.valueStart;
      this.end = reader.valueEnd;
    }
    if (this.field === 0) {
      throw new StatusError(Status.DATA_LOSS, "a log entry carries no known request");
    }
    return this;
  }
}
