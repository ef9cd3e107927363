// Reads that wait for a leader's word, by ticket: the call and where its request lies, which is read again when
// the word has come. No promise, closure or decoded request per read.

import { assert, unreachable } from "../base/assert.ts";
import type { StatusCode } from "../base/status.ts";
import type { Replica, TicketReceiver } from "../node/replica-types.ts";
import type { RawUnaryCall } from "../rpc/grpc/types.ts";

/** Serves the request message[start, end) now. */
export type ServeRead = (call: RawUnaryCall, message: Buffer, start: number, end: number) => void;

interface WaitingRead {
  call: RawUnaryCall;
  message: Buffer;
  start: number;
  end: number;
}

export class WaitingReads implements TicketReceiver {
  readonly #replica: Pick<Replica, "readIndex">;
  readonly #serve: ServeRead;
  readonly #reads: (WaitingRead | undefined)[] = [];
  readonly #free: number[] = [];

  /** `serve` must not throw. */
  constructor(replica: Pick<Replica, "readIndex">, serve: ServeRead) {
    this.#replica = replica;
    this.#serve = serve;
  }

  /** Keeps `message` until the read may be served. */
  add(call: RawUnaryCall, message: Buffer, start: number, end: number): void {
    const ticket = this.#free.pop() ?? this.#reads.length;
    this.#reads[ticket] = { call, message, start, end };
    this.#replica.readIndex(this, ticket);
  }

  onReadable(ticket: number): void {
    const { call, message, start, end } = this.#take(ticket);
    if (!call.cancelled) this.#serve(call, message, start, end);
  }

  onFailed(ticket: number, code: StatusCode, message: string): void {
    this.#take(ticket).call.fail(code, message);
  }

  onApplied(): void {
    unreachable(0 as never, "nothing is proposed with these tickets");
  }

  #take(ticket: number): WaitingRead {
    const read = this.#reads[ticket];
    assert(read !== undefined, `ticket ${ticket} has no read`);
    this.#reads[ticket] = undefined;
    this.#free.push(ticket);
    return read;
  }
}
