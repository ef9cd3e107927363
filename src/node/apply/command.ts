// The form of a command in the log: an InternalRaftRequest that holds a header with a request id and
// the client's request, whose bytes are copied in as they came, never decoded and encoded again.

import { Status, StatusError } from "../../base/status.ts";
import { FieldReader, varintSize, WireType, writeVarint } from "../../base/varint.ts";
import { RequestIdReader, requestIdSize, writeRequestId } from "../loop/request-id.ts";

const headerField = 100;
const headerTag = headerField * 8 + WireType.bytes;
const headerIdTag = 0x08;
const headerSize = 1 + requestIdSize;

/**
 * Encodes a command around message[start, end). `field` is the request's number in InternalRaftRequest; the
 * request's id is given by its two parts.
 */
export function encodeCommand(
  field: number,
  idPrefix: number,
  idCounter: number,
  message: Uint8Array,
  start: number,
  end: number,
): Buffer {
  const length = end - start;
  const tag = field * 8 + WireType.bytes;
  // header: tag (2 bytes), length (1), then ID = 1
  const size = 3 + headerSize + varintSize(tag) + varintSize(length) + length;
  const data = Buffer.allocUnsafe(size);
  let at = writeVarint(data, 0, headerTag);
  data[at++] = headerSize;
  data[at++] = headerIdTag;
  at = writeRequestId(data, at, idPrefix, idCounter);
  at = writeVarint(data, at, tag);
  at = writeVarint(data, at, length);
  data.set(start === 0 && end === message.length ? message : message.subarray(start, end), at);
  return data;
}

/** Where a logged command's request lies: field number and source[start, end), and its id. Reused between calls. */
export class CommandView {
  field = 0;
  start = 0;
  end = 0;
  /** Of the request's id; 0 and 0 when it has none. */
  idPrefix = 0;
  idCounter = 0;
  readonly #reader = new FieldReader(new Uint8Array(0));
  readonly #id = new RequestIdReader();

  /** Finds the request in an entry's data; throws a StatusError when there is none. */
  read(data: Uint8Array): this {
    const reader = this.#reader.reset(data, 0, data.length);
    this.field = 0;
    this.idPrefix = 0;
    this.idCounter = 0;
    while (reader.next()) {
      if (reader.wireType !== WireType.bytes) continue;
      if (reader.field === headerField) {
        this.#readHeader(data, reader.valueStart, reader.valueEnd);
        continue;
      }
      this.field = reader.field;
      this.start = reader.valueStart;
      this.end = reader.valueEnd;
    }
    if (this.field === 0) {
      throw new StatusError(Status.DATA_LOSS, "a log entry carries no known request");
    }
    return this;
  }

  #readHeader(data: Uint8Array, start: number, end: number): void {
    if (start >= end || data[start] !== headerIdTag) return;
    if (this.#id.read(data, start + 1, end) < 0) return;
    this.idPrefix = this.#id.prefix;
    this.idCounter = this.#id.counter;
  }
}
