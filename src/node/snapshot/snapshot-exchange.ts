// Snapshots between members. A follower that needs entries which are gone gets the whole state as a database
// file: built once for all who ask about the same time, sent by the transport, removed when the last has it. A
// member that gets one builds a database from it beside its own and goes over to it.

import { join } from "node:path";
import { failpoints } from "../../base/failpoint.ts";
import type { Disk } from "../../io/disk.ts";
import type { Transport } from "../../peer/types.ts";
import type { Message, Snapshot } from "../../raft/message.ts";
import type { HardState } from "../../raft/types.ts";
import type { Log } from "../loop/log.ts";
import type { MemberMetrics } from "../member-metrics.ts";
import { encodeConfState } from "../members/conf-state.ts";
import type { SnapshotFacts, SnapshotFiles } from "./snapshot-files.ts";
import type { SnapshotReader } from "./snapshot-reader.ts";

export interface SnapshotExchangeParts {
  readonly disk: Disk;
  /** Where files lie while they are built or sent; undefined for a member that lives in memory only. */
  readonly folder: string | undefined;
  readonly files: SnapshotFiles;
  readonly log: Log;
  readonly transport: Transport;
  readonly metrics: MemberMetrics;
  /** Gets a line for what goes wrong and is tried again. */
  readonly trace?: ((line: string) => void) | undefined;
}

/** What it needs of the member that it works for. */
export interface SnapshotExchangeHost {
  /** The last entry that this member has applied. */
  appliedIndex(): number;
  /** The snapshot for this member could not be built or sent. */
  onFailed(id: bigint): void;
}

/** Received files that are kept. A sender waits for the outcome of one before it sends the next. */
const receivedMax = 8;

interface BuiltFile extends SnapshotFacts {
  readonly path: string;
  /** To whom it is being sent. */
  readonly receivers: Set<bigint>;
}

export class SnapshotExchange {
  readonly #parts: SnapshotExchangeParts;
  #host: SnapshotExchangeHost | undefined;
  #building: Promise<BuiltFile> | undefined;
  #built: BuiltFile[] = [];
  #sequence = 0;
  /** Received and not yet taken over by the core, by index. */
  readonly #received = new Map<number, string>();
  readonly #installWaiters: (() => void)[] = [];
  #isClosed = false;

  constructor(parts: SnapshotExchangeParts) {
    this.#parts = parts;
  }

  start(host: SnapshotExchangeHost): void {
    this.#host = host;
  }

  /** Builds what `message` promises, or something newer, and hands it to the transport. */
  send(message: Message): void {
    this.#send(message).catch((error: unknown) => {
      if (this.#isClosed) return;
      this.#parts.trace?.(`has no snapshot for ${message.to.toString(16)}: ${String(error)}`);
      this.#host?.onFailed(message.to);
    });
  }

  /** The transport is done with what was sent to this member. */
  onSent(id: bigint): void {
    for (const file of this.#built) file.receivers.delete(id);
    void this.#removeUnused();
  }

  /** Where a received file goes. */
  pathFor(index: number): string | undefined {
    const { folder } = this.#parts;
    return folder && !this.#isClosed
      ? join(folder, `${index.toString(16).padStart(16, "0")}.snap.db`)
      : undefined;
  }

  /**
   * The file of a snapshot has arrived. Its message may go to the core once this resolves; rejects when the file can
   * not be used.
   */
  async received(message: Message, path: string): Promise<void> {
    const { metadata } = message.snapshot as Snapshot;
    const { index } = metadata;
    // The core may have taken over several that wait for the disk: none is removed before it is installed.
    this.#received.delete(index);
    if (this.#received.size >= receivedMax) {
      const [oldest] = this.#received.keys();
      if (oldest !== undefined) this.#removeReceived(oldest);
    }
    this.#received.set(index, path);
    try {
      await this.#parts.files.prepare(path, metadata);
    } catch (error) {
      this.#removeReceived(index);
      throw error;
    }
  }

  /** Goes over to a received state: the log notes it first, so that a crash ends up before or behind it. */
  async install(snapshot: Snapshot, hardState: HardState): Promise<void> {
    const { index, term, confState } = snapshot.metadata;
    const path = this.#received.get(index);
    if (path === undefined) throw new Error(`there is no file for the snapshot of entry ${index}`);
    const { files, log, disk, metrics } = this.#parts;
    metrics.snapshotsBeingInstalled += 1;
    try {
      await failpoints.applyBeforeOpenSnapshot?.reach();
      await files.install(path, { index, term, confState }, async () => {
        await failpoints.applyAfterOpenSnapshot?.reach();
        await failpoints.raftBeforeSaveSnap?.reach();
        void log.append([], hardState, false);
        await log.saveSnapshot({ index, term, confState: encodeConfState(confState) });
        await failpoints.raftAfterSaveSnap?.reach();
        await failpoints.raftBeforeApplySnap?.reach();
      });
      await failpoints.raftAfterApplySnap?.reach();
      metrics.snapshotsInstalled.value += 1;
    } finally {
      metrics.snapshotsBeingInstalled -= 1;
    }
    for (const older of [...this.#received.keys()]) {
      if (older < index) this.#removeReceived(older);
    }
    this.#received.delete(index);
    for (const resolve of this.#installWaiters.splice(0)) resolve();
    await disk.remove(path);
    await failpoints.raftAfterWALRelease?.reach();
  }

  /** Resolves when the member has gone over to a received state, the next time that it does. */
  nextInstalled(): Promise<void> {
    return new Promise((resolve) => {
      this.#installWaiters.push(resolve);
    });
  }

  #removeReceived(index: number): void {
    const path = this.#received.get(index);
    this.#received.delete(index);
    if (path !== undefined) void this.#parts.disk.remove(path).catch(() => {});
  }

  /** The state of now, for someone to read; rejects with a StatusError. */
  open(signal: AbortSignal): Promise<SnapshotReader> {
    return this.#parts.files.open(signal);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#parts.files.close();
    await this.#building?.catch(() => {});
    for (const file of this.#built) file.receivers.clear();
    await this.#removeUnused();
  }

  async #send(message: Message): Promise<void> {
    const file = await this.#fileFor(message);
    file.receivers.add(message.to);
    const { index, term, confState, sizeBytes, path } = file;
    const snapshot = { metadata: { index, term, confState }, data: new Uint8Array(0) };
    this.#parts.metrics.snapshotsSent.value += 1;
    this.#parts.transport.sendSnapshot({ ...message, snapshot }, { path, sizeBytes });
  }

  async #fileFor(message: Message): Promise<BuiltFile> {
    const index = message.snapshot?.metadata.index ?? 0;
    for (;;) {
      const fitting = this.#built.find((file) => file.index >= index);
      if (fitting) return fitting;
      if (this.#isClosed) throw new Error("the member stops");
      if (this.#building === undefined) {
        this.#building = this.#build().finally(() => {
          this.#building = undefined;
        });
      }
      const built = await this.#building;
      if (built.index >= index) return built;
    }
  }

  async #build(): Promise<BuiltFile> {
    const { folder, files, disk } = this.#parts;
    if (folder === undefined) throw new Error("a member without a disk sends no snapshots");
    await disk.makeFolder(folder);
    const path = join(folder, `sending-${this.#sequence++}.db.tmp`);
    const facts = await files.write(path);
    const built: BuiltFile = { ...facts, path, receivers: new Set() };
    this.#built.push(built);
    // Those who waited for it add themselves first.
    setImmediate(() => void this.#removeUnused());
    return built;
  }

  async #removeUnused(): Promise<void> {
    const unused = this.#built.filter((file) => file.receivers.size === 0);
    if (unused.length === 0) return;
    this.#built = this.#built.filter((file) => file.receivers.size > 0);
    for (const { path } of unused) await this.#parts.disk.remove(path).catch(() => {});
  }
}
