// Applies the lease commands: grant, revoke (which deletes the lease's keys in one transaction),
// checkpoint. Each leaves its encoded reply in the writer, or returns why it failed.

import { varintSizeBig } from "../../base/varint.ts";
import type { Lessor } from "../../lease/lessor.ts";
import type { Store } from "../../mvcc/store.ts";
import { decodeRequest } from "../../wire/decode-request.ts";
import { type EtcdError, EtcdErrors } from "../../wire/errors.ts";
import {
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
} from "../../wire/generated/rpc.ts";
import { type HeaderEncoder, numberFieldSize, type ReplyWriter } from "../../wire/reply-writer.ts";

export class LeaseApplier {
  readonly #store: Store;
  readonly #lessor: Lessor;
  readonly #header: HeaderEncoder;
  readonly #writer: ReplyWriter;
  readonly #now: () => number;

  /** `now` is monotonic, in milliseconds; it only sets when this member would let a lease expire. */
  constructor(
    store: Store,
    lessor: Lessor,
    header: HeaderEncoder,
    writer: ReplyWriter,
    now: () => number,
  ) {
    this.#store = store;
    this.#lessor = lessor;
    this.#header = header;
    this.#writer = writer;
    this.#now = now;
  }

  grant(source: Uint8Array, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(LeaseGrantRequest, source, start, end);
    const result = this.#lessor.grant(request.ID, request.TTL, this.#now());
    if ("error" in result) {
      if (result.error === "exists") return EtcdErrors.leaseExists;
      return result.error === "ttlTooLarge"
        ? EtcdErrors.leaseTTLTooLarge
        : EtcdErrors.leaseNotFound;
    }
    const writer = this.#writer;
    const revision = this.#store.currentRevision;
    const size = 1 + varintSizeBig(request.ID) + numberFieldSize(result.ttl);
    writer.begin(this.#header.size(revision, term) + size);
    this.#header.write(writer, revision, term);
    writer.byte(0x10);
    writer.varintBig(request.ID);
    writer.byte(0x18);
    writer.varint(result.ttl);
    return undefined;
  }

  revoke(source: Uint8Array, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(LeaseRevokeRequest, source, start, end);
    const result = this.#lessor.revoke(request.ID);
    if ("error" in result) return EtcdErrors.leaseNotFound;
    if (result.keys.length > 0) {
      const txn = this.#store.begin();
      for (const key of result.keys) txn.deleteRange(key, undefined, false);
      txn.end();
    }
    this.#writeHeaderOnly(term);
    return undefined;
  }

  checkpoint(source: Uint8Array, start: number, end: number, term: number): EtcdError | undefined {
    const request = decodeRequest(LeaseCheckpointRequest, source, start, end);
    const nowMs = this.#now();
    for (const { ID, remainingTTL } of request.checkpoints) {
      this.#lessor.checkpoint(ID, remainingTTL, nowMs);
    }
    this.#writeHeaderOnly(term);
    return undefined;
  }

  #writeHeaderOnly(term: number): void {
    const revision = this.#store.currentRevision;
    this.#writer.begin(this.#header.size(revision, term));
    this.#header.write(this.#writer, revision, term);
  }
}
