// Applies the key-value commands: put, delete, transaction, compaction. Each leaves its encoded reply
// in the writer, or returns why it failed; a command that fails changes nothing.

import { asBuffer } from "../../base/bytes.ts";
import type { Lessor } from "../../lease/lessor.ts";
import type { Store } from "../../mvcc/store.ts";
import { decodeRequest } from "../../wire/decode-request.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import { CompactionRequest, DeleteRangeRequest, TxnRequest } from "../../wire/generated/rpc.ts";
import { KeyValueView } from "../../wire/key-value.ts";
import { PutView } from "../../wire/kv-requests.ts";
import { bytesFieldSize, type HeaderEncoder, type ReplyWriter } from "../../wire/reply-writer.ts";
import { rangeEndOf } from "./range-options.ts";
import { runTxn } from "./txn.ts";
import { deleteBodySize, writeDeleteBody, writeTxnResponse } from "./txn-result.ts";

export class KvApplier {
  readonly #store: Store;
  readonly #lessor: Lessor;
  readonly #header: HeaderEncoder;
  readonly #writer: ReplyWriter;
  readonly #put = new PutView();
  readonly #kv = new KeyValueView();

  constructor(store: Store, lessor: Lessor, header: HeaderEncoder, writer: ReplyWriter) {
    this.#store = store;
    this.#lessor = lessor;
    this.#header = header;
    this.#writer = writer;
  }

  put(source: Buffer, start: number, end: number, term: number): EtcdError | undefined {
    const request = this.#put.read(source, start, end);
    if (request.lease !== 0n && !this.#lessor.has(request.lease)) return EtcdErrors.leaseNotFound;
    const key = source.latin1Slice(request.keyStart, request.keyEnd);
    const { prevKv } = request;
    let { lease, valueStart, valueEnd } = request;
    let values: Uint8Array = source;
    if (request.ignoreValue || request.ignoreLease) {
      const current = this.#store.getCurrent(source.subarray(request.keyStart, request.keyEnd));
      if (!current) return EtcdErrors.keyNotFound;
      const old = this.#kv.read(current);
      if (request.ignoreValue) {
        values = current;
        ({ valueStart, valueEnd } = old);
      }
      if (request.ignoreLease) lease = old.lease;
    }
    const txn = this.#store.begin();
    const previous = txn.putRange(key, values, valueStart, valueEnd, lease, prevKv);
    const revision = txn.end();
    this.#writePutResponse(revision, term, previous);
    return undefined;
  }

  deleteRange(source: Buffer, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(DeleteRangeRequest, source, start, end);
    const txn = this.#store.begin();
    const key = asBuffer(request.key);
    const body = txn.deleteRange(key, rangeEndOf(request.rangeEnd), request.prevKv);
    const revision = txn.end();
    const writer = this.#writer;
    writer.begin(this.#header.size(revision, term) + deleteBodySize(body));
    this.#header.write(writer, revision, term);
    writeDeleteBody(writer, body);
    return undefined;
  }

  txn(source: Buffer, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(TxnRequest, source, start, end);
    const outcome = runTxn(this.#store, this.#lessor, request);
    if ("error" in outcome) return outcome.error;
    writeTxnResponse(this.#writer, this.#header, outcome.revision, term, outcome.result);
    return undefined;
  }

  compact(source: Buffer, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(CompactionRequest, source, start, end);
    const result = this.#store.compact(request.revision);
    if (result.error === "compacted") return EtcdErrors.compacted;
    if (result.error === "future") return EtcdErrors.futureRevision;
    const revision = this.#store.currentRevision;
    this.#writer.begin(this.#header.size(revision, term));
    this.#header.write(this.#writer, revision, term);
    return undefined;
  }

  #writePutResponse(revision: number, term: number, previous: Uint8Array | undefined): void {
    const writer = this.#writer;
    const size = this.#header.size(revision, term);
    writer.begin(previous ? size + bytesFieldSize(previous.length) : size);
    this.#header.write(writer, revision, term);
    if (previous) writer.bytesField(0x12, previous);
  }
}
