// What the core asks of the member's own storage, as messages: write this, apply that, and what to answer
// when it is done.

import { type MessageDraft, makeMessage } from "./make-message.ts";
import type { Snapshot } from "./message.ts";
import { localAppendThread, localApplyThread, type Message, MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import type { Entry, HardState } from "./types.ts";

/** What is to be written next. */
export interface Unwritten {
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  readonly snapshot: Snapshot | undefined;
}

/** Undefined when there is nothing to write and nothing that waits for what was handed out before. */
export function storageAppend(core: RaftCore, unwritten: Unwritten): Message | undefined {
  const { entries, hardState, snapshot } = unwritten;
  const waiting = core.messagesAfterAppend;
  const isNeeded =
    entries.length > 0 || hardState !== undefined || snapshot !== undefined || waiting.length > 0;
  if (!isNeeded) return undefined;
  const message = makeMessage(MessageType.storageAppend, localAppendThread, core.id);
  message.entries = entries;
  if (hardState !== undefined) {
    message.term = hardState.term;
    message.vote = hardState.vote;
    message.commit = hardState.commit;
  }
  message.snapshot = snapshot;
  const response = storageAppendResponse(core, snapshot);
  // It comes last: what acknowledges entries to this member itself finds their terms while they are
  // still in the unstable log.
  message.responses = response === undefined ? waiting : [...waiting, response];
  return message;
}

/**
 * Says that everything handed out so far is durable. It names the end of the whole log, also when the
 * entries went out earlier: an answer that carries an earlier term is ignored, since what it speaks of
 * may have been replaced, and then the first one of the new term takes its place.
 */
export function storageAppendResponse(
  core: RaftCore,
  snapshot: Snapshot | undefined,
): Message | undefined {
  const hasEntries = core.log.hasUnstable();
  if (!hasEntries && snapshot === undefined) return undefined;
  const response: MessageDraft = makeMessage(
    MessageType.storageAppendResp,
    core.id,
    localAppendThread,
    core.term,
  );
  if (hasEntries) {
    response.index = core.log.lastIndex();
    response.logTerm = core.log.lastTerm();
  }
  response.snapshot = snapshot;
  return response;
}

export function storageApply(core: RaftCore, entries: readonly Entry[]): Message {
  const message = makeMessage(MessageType.storageApply, localApplyThread, core.id);
  message.entries = entries;
  message.responses = [storageApplyResponse(core, entries)];
  return message;
}

export function storageApplyResponse(core: RaftCore, entries: readonly Entry[]): Message {
  const response = makeMessage(MessageType.storageApplyResp, core.id, localApplyThread);
  response.entries = entries;
  return response;
}
