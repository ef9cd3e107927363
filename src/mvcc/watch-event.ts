// What the watch hub needs from the store: batches of events as they happen, and the history to read them
// again. Structural types, so that the hub can be tested on a plain array.

/** One change of one key. */
export interface WatchableEvent {
  /** 0: put, 1: delete (the numbers of mvccpb.Event). */
  readonly type: 0 | 1;
  /** The key with one char per byte. */
  readonly keyText: string;
  /** Main revision. */
  readonly main: number;
  /** Encoded mvccpb.KeyValue; of a delete it holds the key and mod_revision alone. */
  readonly kv: Uint8Array;
  /** Encoded KeyValue before the change; undefined when there was none or it is compacted. May be computed on access. */
  readonly prevKv?: Uint8Array | undefined;
}

/** All changes of one revision, in the order in which they were made. */
export interface WatchableBatch {
  readonly revision: number;
  readonly events: readonly WatchableEvent[];
}

/** Events of whole revisions, in order, up to but without `nextRevision`. */
export interface EventChunk {
  readonly events: readonly WatchableEvent[];
  readonly nextRevision: number;
}

/** The past, as the store keeps it. */
export interface EventHistory {
  readonly currentRevision: number;
  /** Events before this revision are gone; those of it are still there. */
  readonly compactRevision: number;
  /** Events from `revision` on, about `limitBytes` of them but at least one whole revision. */
  eventsSince(revision: number, limitBytes: number): EventChunk | { readonly error: "compacted" };
}
