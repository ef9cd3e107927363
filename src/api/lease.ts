// The Lease service: grants and revokes go through the log, the other calls are answered from the lessor.
// An id that the client leaves open is chosen here, before proposing, so that every member applies the same.

import { FieldReader, varintSizeBig, writeVarintBig } from "../base/varint.ts";
import type { Clock } from "../io/clock.ts";
import type { LeaseTimes } from "../lease/lessor.ts";
import { LeaseIds } from "../node/lease-words.ts";
import { CommandField, type Replica } from "../node/replica-types.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawStreamCall, RawUnaryCall, RawUnaryHandler } from "../rpc/grpc/types.ts";
import { decodeRequest } from "../wire/decode-request.ts";
import {
  LeaseLeasesResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from "../wire/generated/rpc.ts";
import { HeaderEncoder, ReplyWriter } from "../wire/reply-writer.ts";
import { type KeepAliveShared, KeepAliveStream } from "./lease-keep-alive.ts";
import { failWith, guarded, ProposedCalls } from "./proposed-calls.ts";

const servicePath = "/etcdserverpb.Lease/";
const grantIdField = 2;

/** What the service needs of the member. */
export type LeaseReplica = Pick<
  Replica,
  | "clusterId"
  | "memberId"
  | "store"
  | "lessor"
  | "raftTerm"
  | "header"
  | "propose"
  | "proposeAsync"
  | "readIndexAsync"
  | "canReadNow"
  | "renewLease"
  | "leaseTimes"
>;

export class LeaseService {
  readonly #replica: LeaseReplica;
  readonly #clock: Clock;
  readonly #ids: LeaseIds;
  readonly #reader = new FieldReader(new Uint8Array(0));
  readonly #shared: KeepAliveShared;
  readonly #streams = new Set<KeepAliveStream>();
  readonly #calls: ProposedCalls;

  constructor(replica: LeaseReplica, clock: Clock) {
    this.#replica = replica;
    this.#calls = new ProposedCalls(replica);
    this.#clock = clock;
    this.#ids = new LeaseIds(replica.memberId, clock.wallNow());
    this.#shared = {
      header: new HeaderEncoder(replica.clusterId, replica.memberId),
      writer: new ReplyWriter(),
      reader: new FieldReader(new Uint8Array(0)),
    };
  }

  register(server: GrpcServer): void {
    const add = (name: string, handler: RawUnaryHandler) =>
      server.addRawUnary(servicePath + name, guarded(handler));
    add("LeaseGrant", (call, message, start, end) => this.#onGrant(call, message, start, end));
    add("LeaseRevoke", (call, message, start, end) =>
      this.#calls.propose(CommandField.leaseRevoke, call, message, start, end),
    );
    add("LeaseTimeToLive", (call, message, start, end) =>
      this.#onTimeToLive(call, message, start, end),
    );
    add("LeaseLeases", (call) => this.#onLeases(call));
    server.addRawStream(`${servicePath}LeaseKeepAlive`, (call) => this.openKeepAlive(call));
  }

  openKeepAlive(call: RawStreamCall): KeepAliveStream {
    const close = () => void this.#streams.delete(stream);
    const stream = new KeepAliveStream(this.#replica, this.#clock, call, this.#shared, close);
    this.#streams.add(stream);
    return stream;
  }

  /** Ends the keepalive streams, which clients would hold open for ever. */
  close(): void {
    for (const stream of [...this.#streams]) stream.endStopped();
  }

  #onGrant(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const reader = this.#reader.reset(message, start, end);
    let hasId = false;
    while (reader.next()) {
      if (reader.field === grantIdField) hasId = reader.low !== 0 || reader.high !== 0;
    }
    if (hasId) {
      this.#calls.propose(CommandField.leaseGrant, call, message, start, end);
      return;
    }
    const named = withId(message, start, end, this.#ids.next());
    this.#calls.propose(CommandField.leaseGrant, call, named, 0, named.length);
  }

  #onTimeToLive(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const request = decodeRequest(LeaseTimeToLiveRequest, message, start, end);
    const { lessor } = this.#replica;
    if (lessor.isPrimary && this.#replica.canReadNow()) {
      const times = lessor.timeToLive(request.ID, this.#clock.now(), request.keys);
      this.#replyTimeToLive(call, request, times);
      return;
    }
    this.#replica.leaseTimes(request.ID, request.keys).then(
      (times) => this.#replyTimeToLive(call, request, times),
      (error: unknown) => failWith(call, error),
    );
  }

  #replyTimeToLive(
    call: RawUnaryCall,
    request: LeaseTimeToLiveRequest,
    times: LeaseTimes | undefined,
  ): void {
    const response = LeaseTimeToLiveResponse.fromPartial({
      header: this.#replica.header(),
      ID: request.ID,
      TTL: times?.ttl ?? -1,
      grantedTTL: times?.grantedTtl ?? 0,
      keys: [...(times?.keys ?? [])],
    });
    const bytes = LeaseTimeToLiveResponse.encode(response).finish();
    call.reply(bytes, 0, bytes.length);
  }

  #onLeases(call: RawUnaryCall): void {
    const leases = this.#replica.lessor.leases().map((ID) => ({ ID }));
    const response = LeaseLeasesResponse.fromPartial({ header: this.#replica.header(), leases });
    const bytes = LeaseLeasesResponse.encode(response).finish();
    call.reply(bytes, 0, bytes.length);
  }
}

/** The request with the id behind it: the last value of a field counts. */
function withId(message: Buffer, start: number, end: number, id: bigint): Buffer {
  const length = end - start;
  const named = Buffer.allocUnsafe(length + 1 + varintSizeBig(id));
  message.copy(named, 0, start, end);
  named[length] = grantIdField << 3;
  writeVarintBig(named, length + 1, id);
  return named;
}
