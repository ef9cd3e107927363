// The outcome of a transaction's operations, and its encoding as a TxnResponse. Sizes are worked out
// first, then everything is written once.

import {
  bytesFieldSize,
  type HeaderEncoder,
  innerHeaderSize,
  numberFieldSize,
  type RangeBody,
  type ReplyWriter,
  rangeBodySize,
  writeInnerHeader,
  writeRangeBody,
} from "../../wire/reply-writer.ts";

/** What one operation answered. `revision` is the store's when it ran. KeyValues are encoded. */
export type OperationResult =
  | { readonly kind: "range"; readonly revision: number; readonly body: RangeBody }
  | { readonly kind: "put"; readonly revision: number; readonly previous: Uint8Array | undefined }
  | {
      readonly kind: "delete";
      readonly revision: number;
      readonly deleted: number;
      readonly previous: readonly Uint8Array[];
    }
  | TxnResult;

export interface TxnResult {
  readonly kind: "txn";
  readonly succeeded: boolean;
  readonly responses: readonly OperationResult[];
}

/** Field numbers of ResponseOp, as tags. */
const responseTags = { range: 0x0a, put: 0x12, delete: 0x1a, txn: 0x22 } as const;

/** Encodes the whole TxnResponse; afterwards it is the writer's current message. */
export function writeTxnResponse(
  writer: ReplyWriter,
  header: HeaderEncoder,
  revision: number,
  term: number,
  result: TxnResult,
): void {
  const sizes: number[] = [];
  const body = txnBodySize(result, sizes);
  writer.begin(header.size(revision, term) + body);
  header.write(writer, revision, term);
  writeTxnBody(writer, result, sizes, { at: 0 });
}

/** Body sizes of the operations in the order in which they are written, outer before inner. */
function txnBodySize(result: TxnResult, sizes: number[]): number {
  let size = result.succeeded ? 2 : 0;
  for (const response of result.responses) {
    const slot = sizes.push(0) - 1;
    const body = operationSize(response, sizes);
    sizes[slot] = body;
    size += bytesFieldSize(bytesFieldSize(body));
  }
  return size;
}

function operationSize(response: OperationResult, sizes: number[]): number {
  switch (response.kind) {
    case "range":
      return innerHeaderSize(response.revision) + rangeBodySize(response.body);
    case "put":
      return innerHeaderSize(response.revision) + optionalSize(response.previous);
    case "delete":
      return deleteBodySize(response) + innerHeaderSize(response.revision);
    case "txn":
      return 2 + txnBodySize(response, sizes);
  }
}

function writeTxnBody(
  writer: ReplyWriter,
  result: TxnResult,
  sizes: readonly number[],
  cursor: { at: number },
): void {
  if (result.succeeded) {
    writer.byte(0x10);
    writer.byte(1);
  }
  for (const response of result.responses) {
    const body = sizes[cursor.at++] as number;
    writer.byte(0x1a);
    writer.varint(bytesFieldSize(body));
    writer.byte(responseTags[response.kind]);
    writer.varint(body);
    writeOperation(writer, response, sizes, cursor);
  }
}

function writeOperation(
  writer: ReplyWriter,
  response: OperationResult,
  sizes: readonly number[],
  cursor: { at: number },
): void {
  switch (response.kind) {
    case "range":
      writeInnerHeader(writer, response.revision);
      writeRangeBody(writer, response.body);
      break;
    case "put":
      writeInnerHeader(writer, response.revision);
      if (response.previous) writer.bytesField(0x12, response.previous);
      break;
    case "delete":
      writeInnerHeader(writer, response.revision);
      writeDeleteBody(writer, response);
      break;
    case "txn":
      // A nested response has a header without fields.
      writer.byte(0x0a);
      writer.byte(0);
      writeTxnBody(writer, response, sizes, cursor);
      break;
  }
}

function optionalSize(bytes: Uint8Array | undefined): number {
  return bytes ? bytesFieldSize(bytes.length) : 0;
}

/** The fields of a DeleteRangeResponse but its header. */
export interface DeleteBody {
  readonly deleted: number;
  readonly previous: readonly Uint8Array[];
}

export function deleteBodySize(body: DeleteBody): number {
  let size = numberFieldSize(body.deleted);
  for (const kv of body.previous) size += bytesFieldSize(kv.length);
  return size;
}

export function writeDeleteBody(writer: ReplyWriter, body: DeleteBody): void {
  if (body.deleted !== 0) {
    writer.byte(0x10);
    writer.varint(body.deleted);
  }
  for (const kv of body.previous) writer.bytesField(0x1a, kv);
}
