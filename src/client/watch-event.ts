// What a watch delivers.

import type { Event as WireEvent } from "../wire/generated/kv.ts";
import { Event_EventType as EventType } from "../wire/generated/kv.ts";
import type { KeyValue } from "./key-value.ts";
import type { Keyspace } from "./keyspace.ts";
import type { ResponseHeader } from "./results.ts";

/** One change of one key. */
export interface WatchEvent {
  readonly type: "put" | "delete";
  /** The pair after the change. Of a deleted key: its name and the revision of its deletion. */
  readonly kv: KeyValue;
  /** The pair before the change; only with `prevKv`, and not when history is compacted. */
  readonly previous: KeyValue | undefined;
  readonly revision: number;
}

/** What arrived together. All changes of one revision are in one batch, in order. */
export interface WatchBatch {
  readonly header: ResponseHeader;
  readonly events: readonly WatchEvent[];
  /** Everything up to and including this revision has been delivered. */
  readonly revision: number;
  /** True for a batch without events that only says how far the watch has come. */
  readonly progress: boolean;
}

export function watchEvent(wire: WireEvent, keyspace: Keyspace): WatchEvent | undefined {
  if (!wire.kv) return undefined;
  return {
    type: wire.type === EventType.DELETE ? "delete" : "put",
    kv: keyspace.keyValue(wire.kv),
    previous: wire.prevKv && keyspace.keyValue(wire.prevKv),
    revision: wire.kv.modRevision,
  };
}
