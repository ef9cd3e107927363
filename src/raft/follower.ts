// What a follower does with a message: it takes over its leader's log and passes on what only a leader can
// answer.

import { startElection } from "./election.ts";
import { type MessageDraft, makeMessage } from "./make-message.ts";
import { type Message, MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import { restoreSnapshot } from "./reconfigure.ts";

export function stepFollower(core: RaftCore, message: Message): "dropped" | undefined {
  switch (message.type) {
    case MessageType.prop:
      if (core.leader === 0n || core.config.disableProposalForwarding) return "dropped";
      forward(core, message);
      return undefined;
    case MessageType.app:
      hearLeader(core, message);
      handleAppend(core, message);
      return undefined;
    case MessageType.heartbeat:
      hearLeader(core, message);
      handleHeartbeat(core, message);
      return undefined;
    case MessageType.snap:
      hearLeader(core, message);
      handleSnapshot(core, message);
      return undefined;
    case MessageType.transferLeader:
    case MessageType.readIndex:
      if (core.leader !== 0n) forward(core, message);
      return undefined;
    case MessageType.forgetLeader:
      // A leader that serves reads by lease counts on being remembered.
      if (core.config.readOnlyOption !== "leaseBased") core.leader = 0n;
      return undefined;
    case MessageType.timeoutNow:
      // The leader wants it, so there is nothing to find out by a pre-vote.
      startElection(core, "transfer");
      return undefined;
    case MessageType.readIndexResp: {
      const asked = message.entries[0];
      if (asked === undefined || message.entries.length !== 1) return undefined;
      core.readStates.push({ index: message.index, context: asked.data });
      return undefined;
    }
    default:
      return undefined;
  }
}

function forward(core: RaftCore, message: Message): void {
  const forwarded: MessageDraft = { ...message, to: core.leader };
  core.send(forwarded);
}

function hearLeader(core: RaftCore, message: Message): void {
  core.electionElapsed = 0;
  core.leader = message.from;
}

/** Takes entries over, or says where this log may still agree with the leader's. */
export function handleAppend(core: RaftCore, message: Message): void {
  const { log } = core;
  if (!followEachOther(message)) return;
  const answer = makeMessage(MessageType.appResp, message.from);
  if (message.index < log.committed) {
    answer.index = log.committed;
    core.send(answer);
    return;
  }
  const previous = { index: message.index, term: message.logTerm };
  const last = log.appendAfter(previous, message.entries, message.commit);
  if (last !== undefined) {
    answer.index = last;
  } else {
    // The hint passes over everything here of a larger term: none of it can be in the leader's log.
    const end = Math.min(message.index, log.lastIndex());
    const hint = log.lastPossibleMatch(end, message.logTerm);
    answer.index = message.index;
    answer.reject = true;
    answer.rejectHint = hint.index;
    answer.logTerm = hint.term;
  }
  core.send(answer);
}

/** A log with a gap could not be repaired: nothing else checks what comes from the network. */
function followEachOther({ index, entries }: Message): boolean {
  if (entries.length === 0) return true;
  const last = entries[entries.length - 1];
  return entries[0]?.index === index + 1 && last?.index === index + entries.length;
}

export function handleHeartbeat(core: RaftCore, message: Message): void {
  core.log.commitTo(message.commit);
  const answer = makeMessage(MessageType.heartbeatResp, message.from);
  answer.context = message.context;
  core.send(answer);
}

export function handleSnapshot(core: RaftCore, message: Message): void {
  if (message.snapshot === undefined) return;
  const outcome = restoreSnapshot(core, message.snapshot);
  // Without an answer the leader finds out with its next heartbeat, and sends another snapshot. With one it
  // would do so at once, and again and again.
  if (outcome === "later") return;
  const answer = makeMessage(MessageType.appResp, message.from);
  answer.index = outcome === "restored" ? core.log.lastIndex() : core.log.committed;
  core.send(answer);
}
