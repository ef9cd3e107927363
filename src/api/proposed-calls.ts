// The calls of one service that wait for the outcome of their proposal. A call is known to the replica
// by a ticket, a small number, and answered with the bytes that come back with it.

import { assert, unreachable } from "../base/assert.ts";
import { Status, type StatusCode, StatusError } from "../base/status.ts";
import type { CommandField, Replica, TicketReceiver } from "../node/replica-types.ts";
import type { RawUnaryCall, RawUnaryHandler } from "../rpc/grpc/types.ts";

export class ProposedCalls implements TicketReceiver {
  readonly #replica: Pick<Replica, "propose">;
  readonly #calls: (RawUnaryCall | undefined)[] = [];
  readonly #free: number[] = [];

  constructor(replica: Pick<Replica, "propose">) {
    this.#replica = replica;
  }

  /** Proposes message[start, end) as the command `field`; the call gets the encoded reply or the refusal. */
  propose(
    field: CommandField,
    call: RawUnaryCall,
    message: Uint8Array,
    start: number,
    end: number,
  ): void {
    const ticket = this.#free.pop() ?? this.#calls.length;
    this.#calls[ticket] = call;
    this.#replica.propose(field, message, start, end, this, ticket);
  }

  onApplied(ticket: number, source: Uint8Array, start: number, end: number): void {
    this.#release(ticket).reply(source, start, end);
  }

  onFailed(ticket: number, code: StatusCode, message: string): void {
    this.#release(ticket).fail(code, message);
  }

  onReadable(): void {
    unreachable(0 as never, "reads are not asked for with tickets here");
  }

  #release(ticket: number): RawUnaryCall {
    const call = this.#calls[ticket];
    assert(call !== undefined, `ticket ${ticket} has no call`);
    this.#calls[ticket] = undefined;
    this.#free.push(ticket);
    return call;
  }
}

/** Ends a call with an error that was thrown; what is no StatusError is kept from the client. */
export function failWith(call: RawUnaryCall, error: unknown): void {
  if (error instanceof StatusError) call.fail(error.code, error.message);
  else call.fail(Status.INTERNAL, "internal error");
}

/** A request that can not be read is the caller's error, said as grpc-go says it. */
export function guarded(handler: RawUnaryHandler): RawUnaryHandler {
  return (call, message, start, end) => {
    try {
      handler(call, message, start, end);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      call.fail(Status.INTERNAL, `grpc: error unmarshalling request: ${error.message}`);
    }
  };
}
