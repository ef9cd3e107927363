// The KV service on bytes: checks a request, hands it to the replica with a ticket, and answers the call
// whose ticket comes back. Reads are served here, straight from the store.

import { rangeOptionsOf } from "../node/apply/range-options.ts";
import { runReadOnlyTxn } from "../node/apply/txn.ts";
import { writeTxnResponse } from "../node/apply/txn-result.ts";
import { CommandField, type Replica } from "../node/replica-types.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawUnaryCall, RawUnaryHandler } from "../rpc/grpc/types.ts";
import { decodeRequest } from "../wire/decode-request.ts";
import { type EtcdError, EtcdErrors } from "../wire/errors.ts";
import {
  CompactionRequest,
  DeleteRangeRequest,
  RangeRequest,
  TxnRequest,
} from "../wire/generated/rpc.ts";
import { PutView, RangeView } from "../wire/kv-requests.ts";
import { HeaderEncoder, ReplyWriter, rangeBodySize, writeRangeBody } from "../wire/reply-writer.ts";
import { failWith, guarded, ProposedCalls } from "./proposed-calls.ts";
import { sendRange } from "./range-reply.ts";
import { registerRangeStream } from "./range-stream.ts";
import { checkPut, checkRange, checkTxn, isReadOnlyTxn, isSerializableTxn } from "./txn-check.ts";
import { WaitingReads } from "./waiting-reads.ts";

export interface KvOptions {
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
}

export class KvService {
  readonly #replica: Replica;
  readonly #options: KvOptions;
  readonly #header: HeaderEncoder;
  readonly #writer = new ReplyWriter();
  readonly #put = new PutView();
  readonly #range = new RangeView();
  readonly #calls: ProposedCalls;
  readonly #waiting: WaitingReads;

  constructor(replica: Replica, options: KvOptions) {
    this.#replica = replica;
    this.#calls = new ProposedCalls(replica);
    const serve: RawUnaryHandler = (call, message, start, end) => {
      this.#range.read(message, start, end);
      this.#serve(call, message, start, end);
    };
    this.#waiting = new WaitingReads(replica, guarded(serve));
    this.#options = options;
    this.#header = new HeaderEncoder(replica.clusterId, replica.memberId);
  }

  register(server: GrpcServer): void {
    const add = (name: string, handler: RawUnaryHandler) =>
      server.addRawUnary(`/etcdserverpb.KV/${name}`, guarded(handler));
    add("Put", (call, message, start, end) => this.#onPut(call, message, start, end));
    add("Range", (call, message, start, end) => this.#onRange(call, message, start, end));
    add("DeleteRange", (call, message, start, end) => this.#onDelete(call, message, start, end));
    add("Txn", (call, message, start, end) => this.#onTxn(call, message, start, end));
    add("Compact", (call, message, start, end) => this.#onCompact(call, message, start, end));
    registerRangeStream(server, this.#replica, this.#header, this.#options.maxRequestBytes);
  }

  #onPut(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const put = this.#put.read(message, start, end);
    const error = checkPut(
      put.keyEnd - put.keyStart,
      put.valueEnd - put.valueStart,
      put.lease,
      put.ignoreValue,
      put.ignoreLease,
    );
    if (error) {
      refuse(call, error);
      return;
    }
    this.#calls.propose(CommandField.put, call, message, start, end);
  }

  #onDelete(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const request = decodeRequest(DeleteRangeRequest, message, start, end);
    if (request.key.length === 0) {
      refuse(call, EtcdErrors.emptyKey);
      return;
    }
    this.#calls.propose(CommandField.deleteRange, call, message, start, end);
  }

  #onTxn(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const request = decodeRequest(TxnRequest, message, start, end);
    const error = checkTxn(request, this.#options.maxTxnOps);
    if (error) {
      refuse(call, error);
      return;
    }
    if (!isReadOnlyTxn(request)) {
      this.#calls.propose(CommandField.txn, call, message, start, end);
      return;
    }
    this.#whenReadable(call, isSerializableTxn(request), () => this.#serveTxn(call, request));
  }

  #serveTxn(call: RawUnaryCall, request: TxnRequest): void {
    const { store, lessor } = this.#replica;
    const outcome = runReadOnlyTxn(store, lessor, request);
    if ("error" in outcome) {
      refuse(call, outcome.error);
      return;
    }
    const term = this.#replica.raftTerm;
    writeTxnResponse(this.#writer, this.#header, outcome.revision, term, outcome.result);
    this.#reply(call);
  }

  #onRange(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    this.#replica.metrics.ranges.value += 1;
    const range = this.#range.read(message, start, end);
    const keyLength = range.keyEnd - range.keyStart;
    const error = checkRange(keyLength, range.sortOrder, range.sortTarget);
    if (error) {
      refuse(call, error);
      return;
    }
    if (!range.serializable && this.#replica.isLearner) {
      refuse(call, EtcdErrors.notSupportedForLearner);
      return;
    }
    if (range.serializable || this.#replica.canReadNow()) this.#serve(call, message, start, end);
    else this.#waiting.add(call, message, start, end);
  }

  /** Answers the request that `#range` has just read. */
  #serve(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const range = this.#range;
    if (range.isPlainGet) this.#serveGet(call, message, range.keyStart, range.keyEnd);
    else this.#serveRange(call, decodeRequest(RangeRequest, message, start, end));
  }

  /** Most reads: one key, now. The stored KeyValue is copied into the reply as it is. */
  #serveGet(call: RawUnaryCall, source: Buffer, keyStart: number, keyEnd: number): void {
    const { store } = this.#replica;
    const kv = store.getCurrent(source.subarray(keyStart, keyEnd));
    this.#writeRangeReply({
      kvs: kv ? [kv] : [],
      more: false,
      count: kv ? 1 : 0,
      revision: store.currentRevision,
    });
    this.#reply(call);
  }

  #serveRange(call: RawUnaryCall, request: RangeRequest): void {
    const { store, raftTerm } = this.#replica;
    sendRange(store, this.#header, raftTerm, rangeOptionsOf(request), this.#writer, {
      get cancelled() {
        return call.cancelled;
      },
      reply: (source, start, end) => call.reply(source, start, end),
      replyParts: (parts) => call.replyParts(parts),
      refuse: (error) => refuse(call, error),
    });
  }

  #writeRangeReply(result: {
    readonly kvs: readonly Uint8Array[];
    readonly more: boolean;
    readonly count: number;
    readonly revision: number;
  }): void {
    const writer = this.#writer;
    const term = this.#replica.raftTerm;
    writer.begin(this.#header.size(result.revision, term) + rangeBodySize(result));
    this.#header.write(writer, result.revision, term);
    writeRangeBody(writer, result);
  }

  #onCompact(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const { physical } = decodeRequest(CompactionRequest, message, start, end);
    if (!physical) {
      this.#calls.propose(CommandField.compaction, call, message, start, end);
      return;
    }
    this.#compactPhysically(message.subarray(start, end)).then(
      (reply) => call.reply(reply, 0, reply.length),
      (error: unknown) => failWith(call, error),
    );
  }

  /** Answers only when the compacted revisions are gone from the disk. */
  async #compactPhysically(message: Uint8Array): Promise<Uint8Array> {
    const reply = await this.#replica.proposeAsync(CommandField.compaction, message);
    await this.#replica.whenCompacted();
    return reply;
  }

  #reply(call: RawUnaryCall): void {
    call.reply(this.#writer.buffer, this.#writer.start, this.#writer.end);
  }

  #whenReadable(call: RawUnaryCall, isSerializable: boolean, read: () => void): void {
    if (isSerializable || this.#replica.canReadNow()) {
      read();
      return;
    }
    this.#replica.readIndexAsync().then(
      () => {
        if (!call.cancelled) read();
      },
      (error: unknown) => failWith(call, error),
    );
  }
}

function refuse(call: RawUnaryCall, error: EtcdError): void {
  call.fail(error.code, error.message);
}
