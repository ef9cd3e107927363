// RangeStream: a range in pieces. The first piece is small, later ones aim at the size of a request;
// all are read at the revision that stood when the call began, and the last one carries the header.

import { Status, StatusError } from "../base/status.ts";
import type { RangeResult } from "../mvcc/range.ts";
import { rangeOptionsOf } from "../node/apply/range-options.ts";
import type { Replica } from "../node/replica-types.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawStreamCall, RawStreamHandler } from "../rpc/grpc/types.ts";
import { decodeRequest } from "../wire/decode-request.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import { RangeRequest } from "../wire/generated/rpc.ts";
import { KeyValueView } from "../wire/key-value.ts";
import {
  bytesFieldSize,
  type HeaderEncoder,
  ReplyWriter,
  rangeBodySize,
  writeRangeBody,
} from "../wire/reply-writer.ts";
import { checkRange } from "./txn-check.ts";

const firstPieceKeys = 10;

export function registerRangeStream(
  server: GrpcServer,
  replica: Replica,
  header: HeaderEncoder,
  pieceBytes: number,
): void {
  server.addRawStream(
    "/etcdserverpb.KV/RangeStream",
    (call) => new RangeStream(call, replica, header, pieceBytes),
    "server-stream",
  );
}

type RangeSuccess = Exclude<RangeResult, { readonly error: string }>;

class RangeStream implements RawStreamHandler {
  readonly #call: RawStreamCall;
  readonly #replica: Replica;
  readonly #header: HeaderEncoder;
  readonly #pieceBytes: number;
  readonly #writer = new ReplyWriter();
  #request: RangeRequest | undefined;
  #wake: (() => void) | undefined;
  #cancelled = false;

  constructor(call: RawStreamCall, replica: Replica, header: HeaderEncoder, pieceBytes: number) {
    this.#call = call;
    this.#replica = replica;
    this.#header = header;
    this.#pieceBytes = pieceBytes;
  }

  onMessage(message: Buffer, start: number, end: number): void {
    try {
      this.#request = decodeRequest(RangeRequest, message, start, end);
    } catch (error) {
      this.#call.end(Status.INTERNAL, `grpc: error unmarshalling request: ${String(error)}`);
    }
  }

  onHalfClose(): void {
    if (!this.#request) return;
    this.#run(this.#request).then(
      () => this.#call.end(Status.OK, ""),
      (error: unknown) => {
        if (error instanceof StatusError) this.#call.end(error.code, error.message);
        else this.#call.end(Status.INTERNAL, "internal error");
      },
    );
  }

  onCancel(): void {
    this.#cancelled = true;
    this.#wake?.();
  }

  onDrain(): void {
    this.#wake?.();
  }

  async #run(request: RangeRequest): Promise<void> {
    checkRequest(request);
    if (!request.serializable) await this.#replica.readIndexAsync();
    const limitTotal = request.limit > 0 ? request.limit : Number.MAX_SAFE_INTEGER;
    let piece = { ...request, limit: Math.min(firstPieceKeys, limitTotal) };
    if (request.countOnly) piece = { ...request };
    let sent = 0;
    let headerRevision = 0;
    while (!this.#cancelled) {
      const result = this.#read(piece);
      headerRevision ||= result.revision;
      if (piece.revision === 0) piece.revision = headerRevision;
      sent += result.kvs.length;
      if (request.countOnly || !result.more || sent === limitTotal) {
        const count = request.countOnly
          ? result.count
          : this.#countAll(request, piece, sent, result);
        this.#sendLast(headerRevision, { ...result, count });
        return;
      }
      const hasRoom = this.#sendPiece(result);
      piece.key = afterLastKey(result);
      piece.limit = Math.min(this.#nextLimit(piece.limit, result), limitTotal - sent);
      if (!hasRoom) await this.#drained();
    }
  }

  #read(request: RangeRequest): RangeSuccess {
    const result = this.#replica.store.range(rangeOptionsOf(request));
    if (!("error" in result)) return result;
    throw toStatusError(
      result.error === "compacted" ? EtcdErrors.compacted : EtcdErrors.futureRevision,
    );
  }

  /** All keys of the range, also beyond the limit: what was sent and what follows it. */
  #countAll(request: RangeRequest, piece: RangeRequest, sent: number, last: RangeSuccess): number {
    if (!last.more) return sent;
    const rest = this.#read({
      ...request,
      key: afterLastKey(last),
      revision: piece.revision,
      limit: 0,
      countOnly: true,
    });
    return sent + rest.count;
  }

  #sendPiece(result: RangeSuccess): boolean {
    const body = { kvs: result.kvs, more: false, count: 0 };
    return this.#send(rangeBodySize(body), () => writeRangeBody(this.#writer, body));
  }

  #sendLast(revision: number, body: RangeSuccess): void {
    const term = this.#replica.raftTerm;
    this.#send(this.#header.size(revision, term) + rangeBodySize(body), () => {
      this.#header.write(this.#writer, revision, term);
      writeRangeBody(this.#writer, body);
    });
  }

  /** One RangeStreamResponse: a RangeResponse as field 1. */
  #send(sizeBytes: number, write: () => void): boolean {
    const writer = this.#writer;
    writer.begin(bytesFieldSize(sizeBytes));
    writer.byte(0x0a);
    writer.varint(sizeBytes);
    write();
    return this.#call.write(writer.buffer, writer.start, writer.end);
  }

  /** Doubles or halves the keys of a piece until it comes near the size wanted. */
  #nextLimit(limit: number, result: RangeSuccess): number {
    const bytes = rangeBodySize(result);
    if (bytes < this.#pieceBytes / 2) return limit * 2;
    return bytes > this.#pieceBytes * 2 ? Math.max(1, Math.floor(limit / 2)) : limit;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

function checkRequest(request: RangeRequest): void {
  const error = checkRange(request.key.length, request.sortOrder, request.sortTarget);
  if (error) throw toStatusError(error);
  const isByKeyAscending = request.sortTarget === 0 && request.sortOrder === 1;
  if (request.sortOrder !== 0 && !isByKeyAscending) {
    throw new StatusError(Status.UNIMPLEMENTED, "RangeStream does not support custom sort orders");
  }
  if (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  ) {
    throw new StatusError(Status.UNIMPLEMENTED, "RangeStream does not support revision filters");
  }
}

/** The smallest key after the last one of `result`. */
function afterLastKey(result: RangeSuccess): Uint8Array {
  const kv = result.kvs[result.kvs.length - 1] as Uint8Array;
  const { keyStart, keyEnd } = new KeyValueView().read(kv);
  const next = new Uint8Array(keyEnd - keyStart + 1);
  next.set(kv.subarray(keyStart, keyEnd));
  return next;
}
