// The leader's process has ended: who campaigns when, and who does not.

import { expect, it } from "vitest";
import type { RawNode } from "../raft/raw-node.ts";
import { Succession } from "./succession.ts";
import { ManualClock } from "./testing/manual-clock.ts";

function follower(memberId: bigint, voters: readonly bigint[], leader: bigint) {
  const clock = new ManualClock();
  const core = {
    leader,
    role: "follower",
    term: 4,
    confState: { voters },
    campaigns: [] as number[],
    forgetLeader() {
      core.leader = 0n;
    },
    campaign() {
      core.campaigns.push(clock.now());
    },
  };
  const raw = core as unknown as RawNode;
  const succession = new Succession({ memberId, clock, raw, onWork: () => {} });
  return { clock, core, succession };
}

it("lets the others campaign one after the other, in the order of their ids", () => {
  const times = [1n, 3n, 5n].map((id) => {
    const { clock, core, succession } = follower(id, [1n, 2n, 3n, 5n], 2n);
    succession.onGone(2n);
    expect(core.leader).toBe(0n);
    clock.advance(1000);
    return core.campaigns;
  });
  expect(times).toEqual([[30], [90], [150]]);
});

it("does nothing when another member than the leader is gone, or for a leader", () => {
  const { clock, core, succession } = follower(1n, [1n, 2n, 3n], 2n);
  succession.onGone(3n);
  core.role = "leader";
  succession.onGone(2n);
  clock.advance(1000);
  expect(core).toMatchObject({ leader: 2n, campaigns: [] });
});

it("leaves the campaign when there is a leader again, or a new term", () => {
  const again = follower(1n, [1n, 2n, 3n], 2n);
  again.succession.onGone(2n);
  again.core.leader = 2n;
  const later = follower(1n, [1n, 2n, 3n], 2n);
  later.succession.onGone(2n);
  later.core.term = 5;
  for (const { clock, core } of [again, later]) {
    clock.advance(1000);
    expect(core.campaigns).toEqual([]);
  }
});

it("lets a learner forget the leader, but not campaign", () => {
  const { clock, core, succession } = follower(9n, [1n, 2n, 3n], 2n);
  succession.onGone(2n);
  clock.advance(1000);
  expect(core).toMatchObject({ leader: 0n, campaigns: [] });
});
