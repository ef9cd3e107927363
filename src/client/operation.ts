// The operations that a transaction can hold, each with the type of its result.

import type { DeepPartial, RequestOp, ResponseOp } from "../wire/generated/rpc.ts";
import type { Bytes } from "./bytes.ts";
import { type KeySelector, toWireRange } from "./key-range.ts";
import type { KeyValue } from "./key-value.ts";
import type { Keyspace } from "./keyspace.ts";
import { type PutOptions, putRequest } from "./put-request.ts";
import { type RangeOptions, rangeRequest } from "./range-request.ts";
import {
  type DeleteResult,
  deleteResult,
  type PutResult,
  putResult,
  type RangeResult,
  rangeResult,
} from "./results.ts";

/** One step of a transaction. Make them with `op`. */
export interface Operation<Result> {
  readonly writes: boolean;
  toWire(keyspace: Keyspace): DeepPartial<RequestOp>;
  fromWire(response: ResponseOp, keyspace: Keyspace): Result;
}

/** The results of a list of operations, in their order. */
export type OperationResults<Operations extends readonly Operation<unknown>[]> = {
  [Index in keyof Operations]: Operations[Index] extends Operation<infer Result> ? Result : never;
};

type Without<Options> = Omit<Options, "signal" | "timeoutMs">;

export const op = {
  put(key: Bytes, value: Bytes, options: Without<PutOptions> = {}): Operation<PutResult> {
    return {
      writes: true,
      toWire: (keyspace) => ({
        request: { $case: "requestPut", value: putRequest(keyspace, key, value, options) },
      }),
      fromWire: (response, keyspace) => putResult(take(response, "responsePut"), keyspace),
    };
  },

  /** One key; undefined when it does not exist. */
  get(key: Bytes, options: Without<RangeOptions> = {}): Operation<KeyValue | undefined> {
    const all = op.getAll(key, options);
    return {
      ...all,
      fromWire: (response, keyspace) => all.fromWire(response, keyspace).kvs[0],
    };
  },

  getAll(
    selector: KeySelector,
    options: Without<RangeOptions> & { readonly countOnly?: boolean } = {},
  ): Operation<RangeResult> {
    return {
      writes: false,
      toWire: (keyspace) => ({
        request: {
          $case: "requestRange",
          value: rangeRequest(keyspace.range(toWireRange(selector)), options),
        },
      }),
      fromWire: (response, keyspace) => rangeResult(take(response, "responseRange"), keyspace),
    };
  },

  delete(
    selector: KeySelector,
    options: { readonly prevKv?: boolean } = {},
  ): Operation<DeleteResult> {
    return {
      writes: true,
      toWire: (keyspace) => ({
        request: {
          $case: "requestDeleteRange",
          value: {
            ...keyspace.range(toWireRange(selector)),
            prevKv: options.prevKv ?? false,
          },
        },
      }),
      fromWire: (response, keyspace) =>
        deleteResult(take(response, "responseDeleteRange"), keyspace),
    };
  },
} as const;

type ResponseCase = NonNullable<ResponseOp["response"]>["$case"];

/** The body of `response`. A server that answers another operation than the one asked is broken. */
export function take<Case extends ResponseCase>(
  response: ResponseOp,
  expected: Case,
): Extract<NonNullable<ResponseOp["response"]>, { $case: Case }>["value"] {
  const body = response.response;
  if (body?.$case !== expected) {
    throw new TypeError(`Transaction answered ${body?.$case ?? "nothing"} for ${expected}`);
  }
  return body.value as never;
}
