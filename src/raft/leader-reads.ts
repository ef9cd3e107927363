// Linearizable reads on the leader: a request is answered with the commit index of the moment it came, as
// soon as it is certain that nobody else led then.

import { makeMessage } from "./make-message.ts";
import { type Message, MessageType } from "./message.ts";
import { jointIndex } from "./quorum/quorum.ts";
import type { RaftCore } from "./raft-core.ts";
import { broadcastHeartbeat } from "./replication.ts";

/** Requests that wait at most. Who gets no answer asks again. */
const maxPostponed = 10_000;

/** Takes a request, from this member or another. Its one entry carries the asker's context. */
export function requestRead(core: RaftCore, request: Message): void {
  if (request.entries.length !== 1) return;
  if (hasCommittedInTerm(core)) {
    startRound(core, request);
  } else if (core.postponedReads.length < maxPostponed) {
    // Before its first commit a leader does not know what its predecessors have committed.
    core.postponedReads.push(request);
  }
}

/** To be called when something was committed. */
export function answerPostponedReads(core: RaftCore): void {
  if (core.postponedReads.length === 0 || !hasCommittedInTerm(core)) return;
  const requests = core.postponedReads;
  core.postponedReads = [];
  for (const request of requests) startRound(core, request);
}

/** A member has echoed a heartbeat's context: answers what a quorum has confirmed by now. */
export function confirmReads(core: RaftCore, message: Message): void {
  core.readOnly.acknowledge(message.from, message.context);
  const { voters, votersOutgoing } = core.tracker.config;
  const position = jointIndex(voters, votersOutgoing, core.readOnly.acknowledged);
  for (const read of core.readOnly.confirmTo(position)) answer(core, read.request, read.index);
}

function startRound(core: RaftCore, request: Message): void {
  if (core.config.readOnlyOption === "leaseBased" || isAlone(core)) {
    answer(core, request, core.log.committed);
    return;
  }
  if (!core.readOnly.add(core.log.committed, request)) return;
  core.readOnly.acknowledge(core.id, core.readOnly.heartbeatContext());
  broadcastHeartbeat(core);
}

/** The only voter is certain by itself; a leader that was removed is not the one voter that it sees. */
function isAlone(core: RaftCore): boolean {
  return core.tracker.isSingleton && core.tracker.isVoter(core.id);
}

function answer(core: RaftCore, request: Message, index: number): void {
  const context = request.entries[0]?.data;
  if (context === undefined) return;
  if (request.from === 0n || request.from === core.id) {
    core.readStates.push({ index, context });
    return;
  }
  const response = makeMessage(MessageType.readIndexResp, request.from);
  response.index = index;
  response.entries = request.entries;
  core.send(response);
}

function hasCommittedInTerm(core: RaftCore): boolean {
  return core.log.term(core.log.committed) === core.term;
}
