import { expect, test } from "vitest";
import type { PeerHealth } from "../peer/types.ts";
import { hastenFirstElection } from "./first-election.ts";
import { ManualClock } from "./testing/manual-clock.ts";

function world(hastensFirstElection = true) {
  const options = { hastensFirstElection, electionTimeoutMs: 1000, heartbeatMs: 100 };
  const clock = new ManualClock();
  const state = { ticks: 0, active: 0, isLeaderless: true };
  const member = {
    peers: () =>
      Array.from(
        { length: state.active },
        (_, i): PeerHealth => ({
          id: BigInt(i + 2),
          activeSinceMs: 0,
          roundTripMs: undefined,
          clockDriftMs: undefined,
        }),
      ),
    get leaderlessSinceMs() {
      return state.isLeaderless ? 0 : undefined;
    },
  };
  const core = {
    tick: () => {
      state.ticks += 1;
    },
  };
  const timer = hastenFirstElection(options, clock, member, core);
  return { clock, state, timer };
}

test("the clock is put forward once, when others are connected", () => {
  const { clock, state } = world();
  clock.advance(200);
  state.active = 1;
  clock.advance(200);
  expect(state.ticks).toBe(0);
  state.active = 2;
  clock.advance(50);
  expect(state.ticks).toBe(8);
  clock.advance(10_000);
  expect(state.ticks).toBe(8);
});

test("it is left alone when there is a leader, after a while, and at the end", () => {
  const led = world();
  led.state.isLeaderless = false;
  led.state.active = 2;
  led.clock.advance(6000);
  const late = world();
  late.clock.advance(6000);
  late.state.active = 2;
  late.clock.advance(1000);
  const stopped = world();
  stopped.timer.cancel();
  stopped.state.active = 2;
  stopped.clock.advance(1000);
  const off = world(false);
  off.state.active = 2;
  off.clock.advance(1000);
  expect([led, late, stopped, off].map((one) => one.state.ticks)).toEqual([0, 0, 0, 0]);
});
