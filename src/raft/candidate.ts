// What candidates and pre-candidates do with a message: they count votes, and give up as soon as somebody
// else leads in their term.

import { campaign } from "./election.ts";
import { handleAppend, handleHeartbeat, handleSnapshot } from "./follower.ts";
import { type Message, MessageType } from "./message.ts";
import type { RaftCore } from "./raft-core.ts";
import { broadcastAppend } from "./replication.ts";

export function stepCandidate(core: RaftCore, message: Message): "dropped" | undefined {
  switch (message.type) {
    case MessageType.prop:
      return "dropped";
    case MessageType.app:
      core.becomeFollower(message.term, message.from);
      handleAppend(core, message);
      return undefined;
    case MessageType.heartbeat:
      core.becomeFollower(message.term, message.from);
      handleHeartbeat(core, message);
      return undefined;
    case MessageType.snap:
      core.becomeFollower(message.term, message.from);
      handleSnapshot(core, message);
      return undefined;
    case MessageType.voteResp:
      if (core.role === "candidate") countVote(core, message);
      return undefined;
    case MessageType.preVoteResp:
      if (core.role === "preCandidate") countVote(core, message);
      return undefined;
    default:
      return undefined;
  }
}

function countVote(core: RaftCore, message: Message): void {
  core.tracker.recordVote(message.from, !message.reject);
  const { granted, rejected, result } = core.tracker.tally();
  core.config.trace?.(`has ${granted} votes and ${rejected} refusals at term ${core.term}`);
  if (result === "lost") {
    core.becomeFollower(core.term, 0n);
  } else if (result === "won" && core.role === "preCandidate") {
    campaign(core, "election");
  } else if (result === "won") {
    core.becomeLeader();
    broadcastAppend(core);
  }
}
