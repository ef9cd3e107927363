import { expect, it } from "vitest";
import { Random } from "../base/random.ts";
import { ConfChange } from "../wire/generated/raft.ts";
import { LogStorage } from "./log-storage.ts";
import { makeMessage } from "./make-message.ts";
import { localAppendThread, type Message, MessageType } from "./message.ts";
import { RawNode } from "./raw-node.ts";

/** The only voter, with a learner, and with entry 2 not known to be committed. */
function loneVoter(): { node: RawNode; storage: LogStorage } {
  const confState = {
    voters: [1n],
    learners: [2n],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const storage = new LogStorage({
    hardState: { term: 1, vote: 1n, commit: 1 },
    snapshot: { index: 1, term: 1, confState },
    entries: [{ index: 2, term: 1, type: 0, data: Buffer.from("x") }],
  });
  const node = new RawNode({
    id: 1n,
    electionTick: 10,
    heartbeatTick: 1,
    storage,
    applied: 1,
    asyncStorageWrites: true,
    maxSizePerMsg: 1024,
    maxInflightMsgs: 8,
    random: new Random(1),
  });
  return { node, storage };
}

/** Runs Readys; what is written is durable at once. Messages to others, and the indexes of own reads. */
function run({ node, storage }: ReturnType<typeof loneVoter>): {
  sent: Message[];
  reads: number[];
} {
  const sent: Message[] = [];
  const reads: number[] = [];
  while (node.hasReady()) {
    const { messages, readStates } = node.ready();
    reads.push(...readStates.map(({ index }) => index));
    for (const message of messages) {
      if (message.to === localAppendThread) {
        storage.append(message.entries);
        for (const response of message.responses) node.step(response);
      } else sent.push(message);
    }
  }
  return { sent, reads };
}

function readRequest(from: bigint): Message {
  const request = makeMessage(MessageType.readIndex, 1n, from);
  request.entries = [{ term: 0, index: 0, type: 0, data: Buffer.from("r") }];
  return request;
}

it("a lone voter answers reads only when it has committed in its term", () => {
  const member = loneVoter();
  const { node } = member;
  node.campaign();
  // Its own vote is counted; the first entry of its term is not durable yet.
  const vote = node.ready().messages.find(({ to }) => to === localAppendThread) as Message;
  for (const response of vote.responses) node.step(response);
  expect(node.role).toBe("leader");
  expect(node.commit).toBe(1);
  node.step(readRequest(2n));
  const { sent } = run(member);
  const answers = sent.filter(({ type }) => type === MessageType.readIndexResp);
  expect(answers.map(({ index }) => index)).toEqual([3]);
});

it("a leader that was removed does not answer reads alone", () => {
  const member = loneVoter();
  const { node } = member;
  node.campaign();
  run(member);
  node.applyConfChange(ConfChange.fromPartial({ type: 0, nodeId: 2n }));
  node.applyConfChange(ConfChange.fromPartial({ type: 1, nodeId: 1n }));
  node.readIndex(Buffer.from("own"));
  expect(run(member).reads).toEqual([]);
});
