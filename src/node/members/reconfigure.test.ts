import { expect, test } from "vitest";
import { StatusError } from "../../base/status.ts";
import type { PeerHealth } from "../../peer/types.ts";
import type { RaftStatus, Role } from "../../raft/ready.ts";
import { ConfChangeKind } from "../../wire/conf-change.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../../wire/errors.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { MemberMetrics } from "../member-metrics.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { memberIdOf } from "./identity.ts";
import { Membership } from "./membership.ts";
import { longestConnected } from "./quorum-checks.ts";
import { type ConfChangeRequest, Reconfigurer } from "./reconfigure.ts";

const emptyState = {
  voters: [],
  learners: [],
  votersOutgoing: [],
  learnersNext: [],
  autoLeave: false,
};

/** Member 1 of a cluster; its clock stands at 100 s. */
class World {
  readonly clock = new ManualClock();
  readonly metrics = new MemberMetrics();
  readonly membership = new Membership(undefined);
  readonly proposed: ConfChangeRequest[] = [];
  readonly promotedAt: string[] = [];
  health: PeerHealth[] = [];
  role: Role = "leader";
  leader = 1n;
  matches = new Map<bigint, number>();
  transferred: bigint | undefined;
  promoteAt: () => Promise<readonly Member[]> = async () => [];
  readonly reconfigurer: Reconfigurer;

  constructor(members: Partial<Member>[], strict = true) {
    this.clock.advance(100_000);
    this.membership.restore({
      members: members.map((one) => ({
        ID: 0n,
        name: `m${one.ID}`,
        peerURLs: [`http://m${one.ID}:1`],
        clientURLs: [],
        isLearner: false,
        ...one,
      })),
      removed: [],
    });
    this.reconfigurer = new Reconfigurer(
      { memberId: 1n, strict, requestTimeoutMs: 7000, heartbeatMs: 100 },
      {
        clock: this.clock,
        metrics: this.metrics,
        membership: this.membership,
        health: () => this.health,
        raftStatus: () => this.status(),
        propose: async (change) => {
          this.proposed.push(change);
        },
        transferLeader: (to) => {
          this.transferred = to;
        },
        promoteAt: (urls) => {
          this.promotedAt.push(...urls);
          return this.promoteAt();
        },
      },
    );
  }

  status(): RaftStatus {
    const progress = [...this.matches].map(([id, match]) => ({
      id,
      match,
      next: match + 1,
      state: "replicate" as const,
      isLearner: false,
      recentActive: true,
      pendingSnapshot: 0,
      inflight: 0,
      isWindowFull: false,
      isPaused: false,
    }));
    return {
      id: 1n,
      term: 2,
      vote: 1n,
      commit: 100,
      applied: 100,
      lastIndex: 100,
      leader: this.leader,
      role: this.role,
      leadTransferee: 0n,
      confState: emptyState,
      progress: this.role === "leader" ? progress : [],
    };
  }

  connect(...ids: bigint[]): void {
    this.health = ids.map((id) => health(id, 0));
  }
}

function health(id: bigint, activeSinceMs: number | undefined): PeerHealth {
  return { id, activeSinceMs, roundTripMs: undefined, clockDriftMs: undefined };
}

async function refusal(call: Promise<unknown>): Promise<EtcdError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return { code: error.code, message: error.message };
  }
}

const url = ["http://new:1"];

test("an addition has etcd's id and bytes", async () => {
  const world = new World([{ ID: 1n }]);
  const member = await world.reconfigurer.addMember(url, false);
  const seconds = Math.floor(world.clock.wallNow() / 1000);
  expect(member.ID).toBe(memberIdOf(url, "", seconds));
  const [change] = world.proposed;
  expect(change).toMatchObject({ type: ConfChangeKind.addNode, nodeId: member.ID });
  expect(String(change?.context)).toBe(`{"id":${member.ID},"peerURLs":["http://new:1"]}`);
  await world.reconfigurer.addMember(["http://l:1"], true);
  expect(world.proposed[1]?.type).toBe(ConfChangeKind.addLearnerNode);
  expect(String(world.proposed[1]?.context)).toContain('"isLearner":true');
});

test("an addition counts the new member as one that does not run", async () => {
  const two = new World([{ ID: 1n }, { ID: 2n, name: "" }]);
  two.connect(2n);
  expect(await refusal(two.reconfigurer.addMember(url, false))).toEqual(
    EtcdErrors.notEnoughStartedMembers,
  );
  const three = new World([{ ID: 1n }, { ID: 2n }, { ID: 3n }]);
  three.connect(2n);
  expect(await refusal(three.reconfigurer.addMember(url, false))).toEqual(EtcdErrors.unhealthy);
  three.connect(2n, 3n);
  expect(await refusal(three.reconfigurer.addMember(url, false))).toBeUndefined();
  // Connected for 5 s, not less.
  three.health = [health(2n, 0), health(3n, 95_500)];
  expect(await refusal(three.reconfigurer.addMember(url, false))).toEqual(EtcdErrors.unhealthy);
  const loose = new World([{ ID: 1n }, { ID: 2n, name: "" }, { ID: 3n, name: "" }], false);
  expect(await refusal(loose.reconfigurer.addMember(url, false))).toBeUndefined();
});

test("a removal must leave a quorum that runs and is connected", async () => {
  const world = new World([{ ID: 1n }, { ID: 2n }, { ID: 3n }]);
  world.connect(2n);
  // Member 3 is gone: taking it out costs nothing. Member 2 is needed.
  expect(await refusal(world.reconfigurer.removeMember(3n))).toBeUndefined();
  expect(await refusal(world.reconfigurer.removeMember(2n))).toEqual(EtcdErrors.unhealthy);
  expect(await refusal(world.reconfigurer.removeMember(1n))).toEqual(EtcdErrors.unhealthy);
  world.connect(2n, 3n);
  expect(await refusal(world.reconfigurer.removeMember(2n))).toBeUndefined();
  const unstarted = new World([{ ID: 1n }, { ID: 2n }, { ID: 3n, name: "" }]);
  expect(await refusal(unstarted.reconfigurer.removeMember(2n))).toEqual(
    EtcdErrors.notEnoughStartedMembers,
  );
  const learner = new World([{ ID: 1n }, { ID: 2n, isLearner: true }]);
  expect(await refusal(learner.reconfigurer.removeMember(2n))).toBeUndefined();
  expect(world.proposed.map((change) => [change.type, change.nodeId])).toEqual([
    [ConfChangeKind.removeNode, 3n],
    [ConfChangeKind.removeNode, 2n],
  ]);
});

test("the last voter stays, also without strict checks", async () => {
  const world = new World([{ ID: 1n }, { ID: 2n, isLearner: true }], false);
  expect(await refusal(world.reconfigurer.removeMember(1n))).toEqual(
    EtcdErrors.notEnoughStartedMembers,
  );
  expect(await refusal(world.reconfigurer.removeMember(2n))).toBeUndefined();
});

test("new URLs are proposed as they are", async () => {
  const world = new World([{ ID: 1n }]);
  await world.reconfigurer.updateMember(1n, ["b", "a"]);
  expect(String(world.proposed[0]?.context)).toBe('{"id":1,"peerURLs":["b","a"]}');
});

test("a learner gets its vote when it has nine tenths of the log", async () => {
  const world = new World([{ ID: 1n }, { ID: 2n, isLearner: true }]);
  const promote = () => refusal(world.reconfigurer.promoteMember(2n));
  world.matches = new Map([[1n, 100]]);
  expect(await promote()).toEqual(EtcdErrors.memberNotFound);
  world.matches.set(2n, 89);
  expect(await promote()).toEqual(EtcdErrors.learnerNotReady);
  expect([...world.metrics.promotionsRefused.keys()]).toEqual([
    EtcdErrors.memberNotFound.message,
    EtcdErrors.learnerNotReady.message,
  ]);
  world.matches.set(2n, 90);
  expect(await promote()).toBeUndefined();
  expect(world.metrics.learnersPromoted.value).toBe(1);
  expect(String(world.proposed[0]?.context)).toBe('{"id":2,"peerURLs":null,"isPromote":true}');
  const weak = new World([{ ID: 1n }, { ID: 3n, name: "" }, { ID: 4n, name: "" }]);
  weak.matches = new Map([
    [1n, 9],
    [2n, 9],
  ]);
  expect(await refusal(weak.reconfigurer.promoteMember(2n))).toEqual(
    EtcdErrors.notEnoughStartedMembers,
  );
});

test("a follower has the leader promote, and asks again while there is none", async () => {
  const world = new World([{ ID: 1n }, { ID: 2n }, { ID: 3n, isLearner: true }]);
  world.role = "follower";
  world.leader = 0n;
  const answer = refusal(world.reconfigurer.promoteMember(3n));
  await turns();
  world.leader = 2n;
  world.promoteAt = async () => {
    throw toStatusError(EtcdErrors.noLeader);
  };
  world.clock.advance(50);
  await turns();
  world.promoteAt = async () => {
    throw toStatusError(EtcdErrors.learnerNotReady);
  };
  world.clock.advance(50);
  expect(await answer).toEqual(EtcdErrors.learnerNotReady);
  expect(world.promotedAt).toEqual(["http://m2:1", "http://m2:1"]);
  expect(await refusal(world.reconfigurer.promoteHere(3n))).toEqual(EtcdErrors.notLeader);
  world.leader = 0n;
  const late = refusal(world.reconfigurer.promoteMember(3n));
  await turns();
  world.clock.advance(7000);
  expect(await late).toEqual(EtcdErrors.timeout);
});

test("leadership moves to a member with a vote, in time or not", async () => {
  const world = new World([{ ID: 1n }, { ID: 2n }, { ID: 3n, isLearner: true }]);
  const move = (to: bigint) => refusal(world.reconfigurer.moveLeader(to));
  expect(await move(3n)).toEqual(EtcdErrors.badLeaderTransferee);
  expect(await move(9n)).toEqual(EtcdErrors.badLeaderTransferee);
  const moving = move(2n);
  expect(world.transferred).toBe(2n);
  world.leader = 2n;
  world.clock.advance(100);
  expect(await moving).toBeUndefined();
  expect(await move(1n)).toEqual(EtcdErrors.notLeader);
  world.leader = 1n;
  const stuck = move(2n);
  for (let i = 0; i < 80; i++) {
    world.clock.advance(100);
    await turns();
  }
  expect((await stuck)?.message).toBe(
    "etcdserver: request timed out, leader transfer took too long",
  );
});

test("whoever has been connected longest takes over", () => {
  const all = [health(2n, 50), health(3n, 20), health(4n, undefined)];
  expect(longestConnected(all, [2n, 3n, 4n])).toBe(3n);
  expect(longestConnected(all, [2n, 4n])).toBe(2n);
  expect(longestConnected(all, [4n, 9n])).toBeUndefined();
});

/** Lets promises settle. */
function turns(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
