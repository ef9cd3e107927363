// The options of a write, and the PutRequest they make.

import type { DeepPartial, PutRequest } from "../wire/generated/rpc.ts";
import { type Bytes, toBytes } from "./bytes.ts";
import type { CallOptions } from "./caller.ts";
import type { Keyspace } from "./keyspace.ts";

export interface PutOptions extends CallOptions {
  /** Attach the key to this lease: it is deleted when the lease ends. */
  readonly lease?: bigint | { readonly id: bigint };
  /** Return what the key held before. */
  readonly prevKv?: boolean;
  /** Keep the value (give "" for it); fails when the key does not exist. */
  readonly ignoreValue?: boolean;
  /** Keep the lease; fails when the key does not exist. */
  readonly ignoreLease?: boolean;
}

export function putRequest(
  keyspace: Keyspace,
  key: Bytes,
  value: Bytes,
  options: PutOptions,
): DeepPartial<PutRequest> {
  const { lease = 0n } = options;
  return {
    key: keyspace.key(toBytes(key)),
    value: toBytes(value),
    lease: typeof lease === "bigint" ? lease : lease.id,
    prevKv: options.prevKv ?? false,
    ignoreValue: options.ignoreValue ?? false,
    ignoreLease: options.ignoreLease ?? false,
  };
}
