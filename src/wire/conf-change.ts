// raftpb.ConfChange as Go writes it: fields by number, a type of 0 written out. So a change that Portal
// proposes, or founds a cluster with, has the bytes that etcd would have made of it.

import { varintSize, varintSizeBig, writeVarint, writeVarintBig } from "../base/varint.ts";

/** raftpb.ConfChangeType. */
export const ConfChangeKind = {
  addNode: 0,
  removeNode: 1,
  updateNode: 2,
  addLearnerNode: 3,
} as const;

export type ConfChangeKind = (typeof ConfChangeKind)[keyof typeof ConfChangeKind];

export interface ConfChangeFields {
  /** Of the request that asked for it; absent in the first entries of a new cluster. */
  readonly id?: bigint;
  readonly type: ConfChangeKind;
  readonly nodeId: bigint;
  readonly context?: Uint8Array;
}

export function encodeConfChange(change: ConfChangeFields): Uint8Array {
  const { id, type, nodeId, context } = change;
  const idSize = id === undefined ? 0 : 1 + varintSizeBig(id);
  const contextSize = context === undefined ? 0 : 1 + varintSize(context.length) + context.length;
  const bytes = new Uint8Array(idSize + 2 + 1 + varintSizeBig(nodeId) + contextSize);
  let at = 0;
  if (id !== undefined) {
    bytes[at++] = 0x08;
    at = writeVarintBig(bytes, at, id);
  }
  bytes[at++] = 0x10;
  bytes[at++] = type;
  bytes[at++] = 0x18;
  at = writeVarintBig(bytes, at, nodeId);
  if (context !== undefined) {
    bytes[at++] = 0x22;
    at = writeVarint(bytes, at, context.length);
    bytes.set(context, at);
  }
  return bytes;
}
