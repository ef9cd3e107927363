// What calls resolve to, and how it is made from the wire.

import type {
  DeleteRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader as WireHeader,
} from "../wire/generated/rpc.ts";
import type { KeyValue } from "./key-value.ts";
import type { Keyspace } from "./keyspace.ts";

/** Who answered, and at which revision of the store. */
export type ResponseHeader = Readonly<WireHeader>;

export interface PutResult {
  readonly header: ResponseHeader;
  /** The revision of this write. */
  readonly revision: number;
  /** What the key held before; only with `prevKv`. */
  readonly previous: KeyValue | undefined;
}

export interface RangeResult {
  readonly header: ResponseHeader;
  /** The store's revision when it answered. */
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
  /** How many keys are in the range, whatever the limit. */
  readonly count: number;
  /** True when the limit left some out. */
  readonly more: boolean;
}

export interface DeleteResult {
  readonly header: ResponseHeader;
  readonly revision: number;
  /** How many keys were deleted. */
  readonly deleted: number;
  /** What they held; only with `prevKv`. */
  readonly previous: readonly KeyValue[];
}

const NO_HEADER: ResponseHeader = Object.freeze({
  clusterId: 0n,
  memberId: 0n,
  revision: 0,
  raftTerm: 0,
});

export function headerOf(response: { header: WireHeader | undefined }): ResponseHeader {
  return response.header ?? NO_HEADER;
}

export function putResult(response: PutResponse, keyspace: Keyspace): PutResult {
  const header = headerOf(response);
  return {
    header,
    revision: header.revision,
    previous: response.prevKv && keyspace.keyValue(response.prevKv),
  };
}

export function rangeResult(response: RangeResponse, keyspace: Keyspace): RangeResult {
  const header = headerOf(response);
  return {
    header,
    revision: header.revision,
    kvs: response.kvs.map((kv) => keyspace.keyValue(kv)),
    count: response.count,
    more: response.more,
  };
}

export function deleteResult(response: DeleteRangeResponse, keyspace: Keyspace): DeleteResult {
  const header = headerOf(response);
  return {
    header,
    revision: header.revision,
    deleted: response.deleted,
    previous: response.prevKvs.map((kv) => keyspace.keyValue(kv)),
  };
}
