// One LeaseKeepAlive stream. A renewal that this member can decide at once costs no promise and no object;
// any other pauses the stream until it is answered, so that answers keep the order of the requests.

import { Status, type StatusCode, StatusError } from "../base/status.ts";
import { type FieldReader, varintSizeBig } from "../base/varint.ts";
import type { Clock } from "../io/clock.ts";
import { RenewResult } from "../node/lease-words.ts";
import type { Replica } from "../node/replica-types.ts";
import type { RawStreamCall, RawStreamHandler } from "../rpc/grpc/types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import { type HeaderEncoder, numberFieldSize, type ReplyWriter } from "../wire/reply-writer.ts";

/** What renewals need of the member. */
export type RenewingReplica = Pick<
  Replica,
  "clusterId" | "memberId" | "store" | "lessor" | "raftTerm" | "canReadNow" | "renewLease"
>;

/** What all streams of a service share: none of it is kept from one message to the next. */
export interface KeepAliveShared {
  readonly header: HeaderEncoder;
  readonly writer: ReplyWriter;
  readonly reader: FieldReader;
}

export class KeepAliveStream implements RawStreamHandler {
  readonly #replica: RenewingReplica;
  readonly #clock: Clock;
  readonly #call: RawStreamCall;
  readonly #onClosed: () => void;
  readonly #header: HeaderEncoder;
  readonly #writer: ReplyWriter;
  readonly #reader: FieldReader;
  #ended = false;
  #renewing = false;
  #full = false;

  constructor(
    replica: RenewingReplica,
    clock: Clock,
    call: RawStreamCall,
    shared: KeepAliveShared,
    onClosed: () => void,
  ) {
    this.#replica = replica;
    this.#clock = clock;
    this.#call = call;
    this.#onClosed = onClosed;
    this.#header = shared.header;
    this.#writer = shared.writer;
    this.#reader = shared.reader;
  }

  onMessage(message: Buffer, start: number, end: number): void {
    const id = this.#readId(message, start, end);
    // The header is of the time before the renewal: a client must not see a revision at which the lease
    // may be gone already.
    const revision = this.#replica.store.currentRevision;
    const term = this.#replica.raftTerm;
    // Only a member that is alone knows by itself that it still leads.
    const ttl = this.#replica.canReadNow()
      ? this.#replica.lessor.renew(id, this.#clock.now())
      : RenewResult.notPrimary;
    if (ttl > 0) this.#reply(id, ttl, revision, term);
    else if (ttl === RenewResult.notFound) this.#reply(id, 0, revision, term);
    else this.#renewLater(id, revision, term);
  }

  onHalfClose(): void {
    this.#end(Status.OK, "");
  }

  onCancel(): void {
    this.#ended = true;
    this.#onClosed();
  }

  onDrain(): void {
    this.#full = false;
    this.#resume();
  }

  /** Ends the stream because the member stops. */
  endStopped(): void {
    this.#end(EtcdErrors.stopped.code, EtcdErrors.stopped.message);
  }

  #end(code: StatusCode, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onClosed();
    this.#call.end(code, message);
  }

  #readId(message: Buffer, start: number, end: number): bigint {
    const reader = this.#reader.reset(message, start, end);
    let id = 0n;
    while (reader.next()) {
      if (reader.field === 1) id = reader.int64Big();
    }
    return id;
  }

  #renewLater(id: bigint, revision: number, term: number): void {
    this.#renewing = true;
    this.#call.pause();
    this.#renew(id).then(
      (ttl) => {
        this.#renewing = false;
        if (this.#ended) return;
        this.#reply(id, ttl, revision, term);
        this.#resume();
      },
      (error: unknown) => {
        if (error instanceof StatusError) this.#end(error.code, error.message);
        else this.#end(Status.INTERNAL, "internal error");
      },
    );
  }

  /** Resolves to the TTL in seconds, 0 when there is no such lease. */
  async #renew(id: bigint): Promise<number> {
    try {
      return await this.#replica.renewLease(id);
    } catch (error) {
      if (error instanceof StatusError && error.code === EtcdErrors.leaseNotFound.code) return 0;
      throw error;
    }
  }

  #reply(id: bigint, ttl: number, revision: number, term: number): void {
    const writer = this.#writer;
    const size = this.#header.size(revision, term) + 1 + varintSizeBig(id) + numberFieldSize(ttl);
    writer.begin(size);
    this.#header.write(writer, revision, term);
    if (id !== 0n) {
      writer.byte(0x10);
      writer.varintBig(id);
    }
    if (ttl !== 0) {
      writer.byte(0x18);
      writer.varint(ttl);
    }
    if (this.#call.write(writer.buffer, writer.start, writer.end)) return;
    this.#full = true;
    this.#call.pause();
  }

  #resume(): void {
    if (!this.#full && !this.#renewing) this.#call.resume();
  }
}
