// Elections: when one is started, how votes are asked for, and when one is given.

import { makeMessage, noBytes } from "./make-message.ts";
import { type Message, MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";

/** `transfer`: the leader has asked for it, so nobody is to hold against it that there is a leader. */
export type ElectionKind = "preElection" | "election" | "transfer";

/** The context of a vote request in a transfer. Members know it by these bytes. */
const transferContext: Uint8Array = new TextEncoder().encode("CampaignTransfer");

/** Campaigns if this member may lead and knows the configuration that is in force. */
export function startElection(core: RaftCore, kind: ElectionKind): void {
  if (core.role === "leader") return;
  if (!core.isPromotable()) {
    core.config.trace?.("can not campaign: not a voter, or a snapshot is being applied");
    return;
  }
  if (core.log.hasUnappliedConfChange()) {
    core.config.trace?.("can not campaign: a configuration change is not applied yet");
    return;
  }
  campaign(core, kind);
}

/** Asks every voter; its own vote comes back when it is durable. */
export function campaign(core: RaftCore, kind: ElectionKind): void {
  const isPre = kind === "preElection";
  if (isPre) core.becomePreCandidate();
  else core.becomeCandidate();
  // A pre-vote is for the term that would begin.
  const term = isPre ? core.term + 1 : core.term;
  const lastIndex = core.log.lastIndex();
  const lastTerm = core.log.lastTerm();
  for (const id of core.tracker.voters) {
    if (id === core.id) {
      const type = isPre ? MessageType.preVoteResp : MessageType.voteResp;
      core.send(makeMessage(type, id, core.id, term));
      continue;
    }
    const request = makeMessage(isPre ? MessageType.preVote : MessageType.vote, id, core.id, term);
    request.index = lastIndex;
    request.logTerm = lastTerm;
    request.context = kind === "transfer" ? transferContext : noBytes;
    core.send(request);
  }
}

/** A request for a vote that disturbs a leader in office, who was heard within an election timeout. */
export function ignoresElection(core: RaftCore, message: Message): boolean {
  if (message.type !== MessageType.vote && message.type !== MessageType.preVote) return false;
  const hasLease =
    core.config.checkQuorum &&
    core.leader !== 0n &&
    core.electionElapsed < core.config.electionTick;
  return hasLease && !isTransfer(message.context);
}

function isTransfer(context: Uint8Array): boolean {
  if (context.length !== transferContext.length) return false;
  return context.every((byte, i) => byte === transferContext[i]);
}

/**
 * Votes for who asks first in a term and is not behind. Learners vote too: one that was promoted may
 * not have heard of it, and its vote may be the one that is missing.
 */
export function answerVoteRequest(core: RaftCore, message: Message): void {
  const { from, term, index, logTerm } = message;
  const isPre = message.type === MessageType.preVote;
  const mayVote =
    core.vote === from || (core.vote === 0n && core.leader === 0n) || (isPre && term > core.term);
  const type = isPre ? MessageType.preVoteResp : MessageType.voteResp;
  if (!mayVote || !core.log.isUpToDate(index, logTerm)) {
    const refusal = makeMessage(type, from, 0n, core.term);
    refusal.reject = true;
    core.send(refusal);
    return;
  }
  // The term of the request, not the own one, which a pre-vote leaves behind: who asked would take
  // the answer for an old one.
  core.send(makeMessage(type, from, 0n, term));
  if (isPre) return;
  core.electionElapsed = 0;
  core.vote = from;
}
