// What a member needs of the network between members. `PeerTransport` speaks rafthttp; the simulator
// has its own version. Nothing here ever blocks or throws because of what a peer does.

import type { Message } from "../raft/message.ts";

/** What the transport tells the member it belongs to. All calls are synchronous. */
export interface TransportHandler {
  /** A message of a peer. Its bytes may be kept: they are never overwritten. */
  onMessages(messages: readonly Message[]): void;
  /** A message to this peer was dropped or could not be delivered. */
  onUnreachable(id: bigint): void;
  /** The snapshot sent to this peer has arrived, or not. */
  onSnapshotSent(id: bigint, ok: boolean): void;
  /** Nothing listens at any of this peer's addresses: its process has ended. May be said of one that comes back. */
  onGone(id: bigint): void;
  /** True for a member that was removed from the cluster: it is refused. */
  isRemoved(id: bigint): boolean;
  /** This member itself was removed, as another member says; it should end. */
  onRemovedFromCluster(): void;
  /**
   * A peer begins to send a snapshot: returns where to put it, or undefined to refuse. The database file is
   * complete and durable at that path when the message is handed to `onSnapshot`.
   */
  snapshotPath(index: number): string | undefined;
  /** Resolves when the snapshot has been taken over by the core; the sender is told then. */
  onSnapshot(message: Message, path: string, sizeBytes: number): Promise<void>;
}

export interface PeerHealth {
  readonly id: bigint;
  /** Clock milliseconds since when messages go through; undefined while they do not. */
  readonly activeSinceMs: number | undefined;
  /** Of the last probe; undefined before the first. Smoothed round-trip time, and the peer's clock minus ours. */
  readonly roundTripMs: number | undefined;
  readonly clockDriftMs: number | undefined;
}

/** A snapshot's state on disk, for sending. Removed by whoever made it after `onSnapshotSent`. */
export interface SnapshotFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface Transport {
  /** Begins to reach peers; `handler` is called from then on. */
  start(handler: TransportHandler): void;
  /** Sends or drops (then `onUnreachable`); messages to one peer keep their order as long as its stream lives. Unknown receivers are ignored. */
  send(messages: readonly Message[]): void;
  /** Streams a MsgSnap and its file; the outcome comes through `onSnapshotSent`. */
  sendSnapshot(message: Message, file: SnapshotFile): void;
  addPeer(id: bigint, urls: readonly string[]): void;
  updatePeer(id: bigint, urls: readonly string[]): void;
  removePeer(id: bigint): void;
  health(): readonly PeerHealth[];
  close(): Promise<void>;
}
