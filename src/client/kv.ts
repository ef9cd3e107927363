// Keys and values: get, put, delete, ranges, transactions, compaction.

import type { Bytes } from "./bytes.ts";
import type { Caller, CallOptions } from "./caller.ts";
import { toPortalError } from "./errors.ts";
import { type KeyRange, type KeySelector, keyAfter, toWireRange } from "./key-range.ts";
import type { KeyValue } from "./key-value.ts";
import type { Keyspace } from "./keyspace.ts";
import { PageSize } from "./page-size.ts";
import { type PutOptions, putRequest } from "./put-request.ts";
import { type RangeOptions, type ReadOptions, rangeRequest } from "./range-request.ts";
import {
  type DeleteResult,
  deleteResult,
  headerOf,
  type PutResult,
  putResult,
  type RangeResult,
  type ResponseHeader,
  rangeResult,
} from "./results.ts";
import { Txn } from "./txn.ts";

export interface DeleteOptions extends CallOptions {
  /** Return what the deleted keys held. */
  readonly prevKv?: boolean;
}

export type ScanOptions = Omit<RangeOptions, "limit" | "sortBy" | "order">;

export class Kv {
  readonly #caller: Caller;
  readonly #keyspace: Keyspace;

  constructor(caller: Caller, keyspace: Keyspace) {
    this.#caller = caller;
    this.#keyspace = keyspace;
  }

  /** One key; undefined when it does not exist. */
  async get(key: Bytes, options: ReadOptions = {}): Promise<KeyValue | undefined> {
    return (await this.getAll(key, options)).kvs[0];
  }

  /** All that `selector` selects, in one reply: see `pages` for what may be large. */
  getAll(selector: KeySelector, options: RangeOptions = {}): Promise<RangeResult> {
    return this.#range(selector, options);
  }

  /** How many keys there are; the keys are not transferred. */
  async count(selector: KeySelector, options: ReadOptions = {}): Promise<RangeResult> {
    return this.#range(selector, { ...options, countOnly: true });
  }

  async put(key: Bytes, value: Bytes, options: PutOptions = {}): Promise<PutResult> {
    const { transport } = this.#caller;
    const request = putRequest(this.#keyspace, key, value, options);
    const response = await this.#caller.unary(
      (rpc) => transport.kv.put(request, rpc),
      "write",
      options,
    );
    return putResult(response, this.#keyspace);
  }

  async delete(selector: KeySelector, options: DeleteOptions = {}): Promise<DeleteResult> {
    const { transport } = this.#caller;
    const range = this.#keyspace.range(toWireRange(selector));
    const request = { ...range, prevKv: options.prevKv ?? false };
    const response = await this.#caller.unary(
      (rpc) => transport.kv.deleteRange(request, rpc),
      "write",
      options,
    );
    return deleteResult(response, this.#keyspace);
  }

  /** An empty transaction to add to; see `Txn`. */
  txn(): Txn {
    return new Txn(this.#caller, this.#keyspace, { conditions: [], success: [], failure: [] });
  }

  /**
   * A range of any size in pages, all as of one revision, in key order, with bounded memory. Throws
   * a CompactedError when that revision is compacted away meanwhile. The deadline is per page.
   */
  async *pages(range: KeyRange, options: ScanOptions = {}): AsyncGenerator<RangeResult, void> {
    const { rangeEnd, key: first } = this.#keyspace.range(toWireRange(range));
    const pageSize = new PageSize();
    let { revision } = options;
    for (let key = first; ; ) {
      const pageOptions = revision === undefined ? options : { ...options, revision };
      const request = rangeRequest({ key, rangeEnd }, { ...pageOptions, limit: pageSize.limit });
      const response = await this.#caller.unary(
        (rpc) => this.#caller.transport.kv.range(request, rpc),
        "read",
        options,
      );
      const last = response.kvs.at(-1);
      yield rangeResult(response, this.#keyspace);
      if (!response.more || !last) return;
      revision ??= headerOf(response).revision;
      pageSize.note(response.kvs);
      key = keyAfter(last.key);
    }
  }

  /** Like `pages`, pair by pair. */
  async *scan(range: KeyRange, options: ScanOptions = {}): AsyncGenerator<KeyValue, void> {
    for await (const page of this.pages(range, options)) yield* page.kvs;
  }

  /** A range in chunks that the server chooses, in one call (RangeStream; etcd 3.7, Portal). */
  async *stream(selector: KeySelector, options: RangeOptions = {}): AsyncGenerator<RangeResult> {
    const request = rangeRequest(this.#keyspace.range(toWireRange(selector)), options);
    const rpc = await this.#caller.streamOptions(options.signal);
    const { timeoutMs } = options;
    try {
      const call = this.#caller.transport.kv.rangeStream(
        request,
        timeoutMs ? { ...rpc, timeoutMs } : rpc,
      );
      for await (const { rangeResponse } of call) {
        if (rangeResponse) yield rangeResult(rangeResponse, this.#keyspace);
      }
    } catch (error) {
      throw toPortalError(error);
    }
  }

  /**
   * Drops history before `revision`: reads and watches from before it fail with a CompactedError.
   * With `physical`, resolves when the space is free for reuse.
   */
  async compact(
    revision: number,
    options: CallOptions & { readonly physical?: boolean } = {},
  ): Promise<ResponseHeader> {
    const request = { revision, physical: options.physical ?? false };
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.kv.compact(request, rpc),
      "write",
      options,
    );
    return headerOf(response);
  }

  async #range(
    selector: KeySelector,
    options: RangeOptions & { readonly countOnly?: boolean },
  ): Promise<RangeResult> {
    const { transport } = this.#caller;
    const request = rangeRequest(this.#keyspace.range(toWireRange(selector)), options);
    const response = await this.#caller.unary(
      (rpc) => transport.kv.range(request, rpc),
      "read",
      options,
    );
    return rangeResult(response, this.#keyspace);
  }
}
