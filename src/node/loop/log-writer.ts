// Hands what the core wants written to the log, one write at a time: what comes meanwhile goes out together
// with the next. A full disk stops it until there is space again; nothing is skipped and the order is kept,
// since other members may have been told already.

import { type ArmedFailpoint, failpoints } from "../../base/failpoint.ts";
import type { Clock, Timer } from "../../io/clock.ts";
import type { Message, Snapshot } from "../../raft/message.ts";
import type { Entry, HardState } from "../../raft/types.ts";
import { WalFullError } from "../../wal/errors.ts";
import type { Log } from "./log.ts";

export interface LogWriterHandler {
  /** The message's entries, hard state and snapshot are durable. */
  onWritten(message: Message): void;
  /** The messages just named were one write, which took `ms` for `bytes` of entries; the log is free again. */
  onBatchWritten(ms: number, bytes: number): void;
  /** Notes a snapshot and the hard state in the log, and goes on from the state that it stands for. */
  installSnapshot(snapshot: Snapshot, hardState: HardState): Promise<void>;
  /** There is no space. True: it gave up what was not written (the core forgot it); false: try again later. */
  onFull(): boolean;
  /** The log can take nothing more. */
  onFailed(error: Error): void;
}

const retryMs = 250;

export class LogWriter {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #handler: LogWriterHandler;
  #queued: Message[] = [];
  #writing: readonly Message[] | undefined;
  #startedMs = 0;
  #retry: Timer | undefined;
  #failed = false;
  #isHeld = false;
  /** What was written last, or is being written. */
  #hardState: HardState;

  constructor(log: Log, hardState: HardState, clock: Clock, handler: LogWriterHandler) {
    this.#log = log;
    this.#hardState = hardState;
    this.#clock = clock;
    this.#handler = handler;
  }

  /** A failpoint keeps a write from going on. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** A write is under way. */
  get isBusy(): boolean {
    return this.#writing !== undefined || this.#retry !== undefined;
  }

  /** There is no space for what waits; it is tried again and again. */
  get isFull(): boolean {
    return this.#retry !== undefined;
  }

  /** Since when the write under way lasts, in the clock's milliseconds; undefined when none is. */
  get busySinceMs(): number | undefined {
    return this.isBusy ? this.#startedMs : undefined;
  }

  get isIdle(): boolean {
    return !this.isBusy && this.#queued.length === 0;
  }

  /** Takes a storageAppend message of the core; its outcome comes through the handler. */
  add(message: Message): void {
    if (this.#failed) return;
    this.#queued.push(message);
    if (!this.isBusy) this.#writeNext();
  }

  /** Gives up; nothing is written after what is under way. */
  stop(): void {
    this.#failed = true;
    this.#queued = [];
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  async #hold(point: ArmedFailpoint): Promise<void> {
    this.#isHeld = true;
    await point.reach();
    this.#isHeld = false;
  }

  #writeNext(): void {
    if (this.#queued.length === 0 || this.#failed) return;
    const batch = this.#queued;
    this.#queued = [];
    this.#writing = batch;
    this.#startedMs = this.#clock.now();
    this.#write(batch)
      .then(
        (bytes) => this.#onWritten(batch, bytes),
        (error: unknown) => this.#onWriteFailed(batch, error),
      )
      .catch((error: unknown) => this.#giveUp(error as Error));
  }

  /** Returns the bytes of the entries. */
  async #write(batch: readonly Message[]): Promise<number> {
    if (failpoints.raftBeforeSave !== undefined) await this.#hold(failpoints.raftBeforeSave);
    let bytes = 0;
    let at = 0;
    while (at < batch.length) {
      const first = batch[at] as Message;
      if (first.snapshot !== undefined) {
        await this.#handler.installSnapshot(first.snapshot, hardStateOf(first) ?? this.#hardState);
      }
      // A snapshot comes before whatever follows it: up to the next one it is a single write.
      let end = at + 1;
      while (end < batch.length && (batch[end] as Message).snapshot === undefined) end++;
      bytes += await this.#append(batch, at, end);
      at = end;
    }
    if (failpoints.raftAfterSave !== undefined) await this.#hold(failpoints.raftAfterSave);
    return bytes;
  }

  async #append(batch: readonly Message[], start: number, end: number): Promise<number> {
    const before = this.#hardState;
    let hardState: HardState | undefined;
    let bytes = 0;
    let entries: readonly Entry[] = [];
    for (let i = start; i < end; i++) {
      const message = batch[i] as Message;
      if (message.entries.length > 0) {
        entries = entries.length === 0 ? message.entries : entries.concat(message.entries);
        for (const entry of message.entries) bytes += entry.data.length;
      }
      hardState = hardStateOf(message) ?? hardState;
    }
    if (entries.length === 0 && hardState === undefined) return 0;
    // Only a term or a vote must be durable by itself; a commit index is a hint that may come later.
    const speaks =
      hardState !== undefined && (hardState.term !== before.term || hardState.vote !== before.vote);
    await this.#log.append(entries, hardState, speaks || entries.length > 0);
    if (hardState !== undefined) this.#hardState = hardState;
    return bytes;
  }

  #onWritten(batch: readonly Message[], bytes: number): void {
    this.#writing = undefined;
    if (this.#failed) return;
    for (const message of batch) this.#handler.onWritten(message);
    this.#handler.onBatchWritten(this.#clock.now() - this.#startedMs, bytes);
    if (!this.isBusy) this.#writeNext();
  }

  #giveUp(error: Error): void {
    this.stop();
    this.#handler.onFailed(error);
  }

  #onWriteFailed(batch: readonly Message[], error: unknown): void {
    this.#writing = undefined;
    if (this.#failed) return;
    if (!(error instanceof WalFullError)) {
      this.#giveUp(error as Error);
      return;
    }
    this.#queued = [...batch, ...this.#queued];
    if (this.#handler.onFull()) {
      this.#queued = [];
      return;
    }
    this.#retry = this.#clock.setTimer(retryMs, () => {
      this.#retry = undefined;
      this.#writeNext();
    });
  }
}

/** A message without a term carries no hard state. */
function hardStateOf(message: Message): HardState | undefined {
  if (message.term === 0) return undefined;
  return { term: message.term, vote: message.vote, commit: message.commit };
}
