// Transactions: conditions, what to do when all hold, what to do otherwise; one atomic step. The
// builder is immutable and carries the types of its results. (Its methods are not called `then`:
// a thing with a `then` would be taken for a promise.)

import type { DeepPartial, ResponseOp, TxnRequest, TxnResponse } from "../wire/generated/rpc.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { Comparison } from "./compare.ts";
import type { Keyspace } from "./keyspace.ts";
import { type Operation, type OperationResults, take } from "./operation.ts";
import { headerOf, type ResponseHeader } from "./results.ts";

type Operations = readonly Operation<unknown>[];

/** `succeeded` tells whether the conditions held, and with it which results these are. */
export type TxnResult<Success extends Operations, Failure extends Operations> = {
  readonly header: ResponseHeader;
  readonly revision: number;
} & (
  | { readonly succeeded: true; readonly results: OperationResults<Success> }
  | { readonly succeeded: false; readonly results: OperationResults<Failure> }
);

interface TxnParts<Success extends Operations, Failure extends Operations> {
  readonly conditions: readonly Comparison[];
  readonly success: Success;
  readonly failure: Failure;
}

/**
 * ```ts
 * const result = await client
 *   .txn()
 *   .when(compare.missing("lock"))
 *   .do(op.put("lock", "me"))
 *   .otherwise(op.get("lock"))
 *   .commit();
 * if (!result.succeeded) console.log("held by", result.results[0]?.text);
 * ```
 */
export class Txn<Success extends Operations = [], Failure extends Operations = []>
  implements Operation<TxnResult<Success, Failure>>
{
  readonly #caller: Caller;
  readonly #keyspace: Keyspace;
  readonly #parts: TxnParts<Success, Failure>;

  constructor(caller: Caller, keyspace: Keyspace, parts: TxnParts<Success, Failure>) {
    this.#caller = caller;
    this.#keyspace = keyspace;
    this.#parts = parts;
  }

  /** Adds conditions; all must hold. Without any, they do. */
  when(...conditions: Comparison[]): Txn<Success, Failure> {
    const all = [...this.#parts.conditions, ...conditions];
    return new Txn(this.#caller, this.#keyspace, { ...this.#parts, conditions: all });
  }

  /** Adds steps for when the conditions hold. Another `Txn` may be a step. */
  do<const More extends Operations>(...more: More): Txn<[...Success, ...More], Failure> {
    const success = [...this.#parts.success, ...more] as [...Success, ...More];
    return new Txn(this.#caller, this.#keyspace, { ...this.#parts, success });
  }

  /** Adds steps for when they do not. */
  otherwise<const More extends Operations>(...more: More): Txn<Success, [...Failure, ...More]> {
    const failure = [...this.#parts.failure, ...more] as [...Failure, ...More];
    return new Txn(this.#caller, this.#keyspace, { ...this.#parts, failure });
  }

  get writes(): boolean {
    return [...this.#parts.success, ...this.#parts.failure].some((step) => step.writes);
  }

  async commit(options: CallOptions = {}): Promise<TxnResult<Success, Failure>> {
    const request = this.#request(this.#keyspace);
    const response = await this.#caller.unary(
      (rpc) => this.#caller.transport.kv.txn(request, rpc),
      this.writes ? "write" : "read",
      options,
    );
    return this.#result(response, this.#keyspace);
  }

  toWire(keyspace: Keyspace) {
    return { request: { $case: "requestTxn", value: this.#request(keyspace) } } as const;
  }

  fromWire(response: ResponseOp, keyspace: Keyspace): TxnResult<Success, Failure> {
    return this.#result(take(response, "responseTxn"), keyspace);
  }

  #request(keyspace: Keyspace): DeepPartial<TxnRequest> {
    const { conditions, success, failure } = this.#parts;
    return {
      compare: conditions.map((condition) => condition.toWire(keyspace)),
      success: success.map((step) => step.toWire(keyspace)),
      failure: failure.map((step) => step.toWire(keyspace)),
    };
  }

  #result(response: TxnResponse, keyspace: Keyspace): TxnResult<Success, Failure> {
    const { succeeded } = response;
    const header = headerOf(response);
    const steps = succeeded ? this.#parts.success : this.#parts.failure;
    const results = steps.map((step, index) =>
      step.fromWire(response.responses[index] ?? { response: undefined }, keyspace),
    );
    return { header, revision: header.revision, succeeded, results } as TxnResult<Success, Failure>;
  }
}
