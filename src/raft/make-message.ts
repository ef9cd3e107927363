// How messages are made and which kinds there are. A message under construction is written to by the
// core until it is handed out; all of them have the same shape, so that reading one is fast.

import { localAppendThread, localApplyThread, type Message, MessageType } from "./message.ts";
import type { Entry } from "./types.ts";

export type MessageDraft = { -readonly [Field in keyof Message]: Message[Field] };

export const noEntries: readonly Entry[] = [];
export const noBytes = new Uint8Array(0);
const noResponses: readonly Message[] = [];

/** `from` 0n and `term` 0 are filled in when the core sends it. */
export function makeMessage(type: MessageType, to: bigint, from = 0n, term = 0): MessageDraft {
  return {
    type,
    to,
    from,
    term,
    logTerm: 0,
    index: 0,
    entries: noEntries,
    commit: 0,
    vote: 0n,
    snapshot: undefined,
    reject: false,
    rejectHint: 0,
    context: noBytes,
    responses: noResponses,
  };
}

/** Kinds that a member says to itself: from the network they are refused. */
const localTypes: ReadonlySet<MessageType> = new Set([
  MessageType.hup,
  MessageType.beat,
  MessageType.unreachable,
  MessageType.snapStatus,
  MessageType.checkQuorum,
  MessageType.storageAppend,
  MessageType.storageAppendResp,
  MessageType.storageApply,
  MessageType.storageApplyResp,
]);

/** Kinds that make sense only from somebody in the configuration. */
const responseTypes: ReadonlySet<MessageType> = new Set([
  MessageType.appResp,
  MessageType.voteResp,
  MessageType.heartbeatResp,
  MessageType.unreachable,
  MessageType.readIndexResp,
  MessageType.preVoteResp,
  MessageType.storageAppendResp,
  MessageType.storageApplyResp,
]);

export function isLocalMessage(type: MessageType): boolean {
  return localTypes.has(type);
}

export function isResponse(type: MessageType): boolean {
  return responseTypes.has(type);
}

export function isLocalThread(id: bigint): boolean {
  return id === localAppendThread || id === localApplyThread;
}

/**
 * Kinds that may leave only when everything before them is durable. Answers promise something; and whoever
 * asks for a vote promises its log, and its own vote: without these it could ask for the same term again
 * after a crash, with less, and be given what was meant for its first request.
 */
export function waitsForDisk(type: MessageType): boolean {
  return (
    type === MessageType.appResp ||
    type === MessageType.vote ||
    type === MessageType.voteResp ||
    type === MessageType.preVoteResp
  );
}
