import { expect, test } from "vitest";
import type { Member } from "../../wire/generated/rpc.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { clusterVersionOf, nextClusterVersion, VersionMonitor } from "./cluster-version.ts";
import { Membership } from "./membership.ts";

const none = { enabled: false, targetVersion: "" };

test("the lowest version of all members is agreed on, and never goes back by itself", () => {
  const cases: [string, (string | undefined)[], string | undefined][] = [
    ["", ["3.7.3"], "3.7.0"],
    ["", ["3.7.3", undefined], "3.0.0"],
    ["", ["3.7.3", "3.6.9"], "3.6.0"],
    ["3.0.0", ["3.7.3", undefined], undefined],
    ["3.0.0", ["3.7.3", "3.7.0"], "3.7.0"],
    ["3.6.0", ["3.7.3", "3.7.3"], "3.7.0"],
    ["3.7.0", ["3.7.3", "3.6.0"], undefined],
    ["3.7.0", ["3.7.3"], undefined],
    ["3.7.0", ["4.0.0"], undefined],
    ["3.6.0", ["what"], undefined],
  ];
  for (const [current, servers, expected] of cases) {
    expect(nextClusterVersion(current, servers, none), `${current} ${servers}`).toBe(expected);
  }
  expect(clusterVersionOf("3.6")).toBe("3.6.0");
  expect(clusterVersionOf("3.x")).toBeUndefined();
});

test("a downgrade goes one minor version down", () => {
  const to = (targetVersion: string) => ({ enabled: true, targetVersion });
  expect(nextClusterVersion("3.7.0", ["3.7.3"], to("3.6.0"))).toBe("3.6.0");
  expect(nextClusterVersion("3.6.0", ["3.7.3"], to("3.6.0"))).toBeUndefined();
  expect(nextClusterVersion("3.7.0", ["3.7.3"], to("3.5.0"))).toBeUndefined();
});

function watched(versions: Map<bigint, string>) {
  const clock = new ManualClock();
  const membership = new Membership(undefined);
  membership.restore({
    members: [1n, 2n].map(
      (ID): Member => ({ ID, name: "m", peerURLs: [], clientURLs: [], isLearner: false }),
    ),
    removed: [],
  });
  const state = { isLeader: true, ended: 0 };
  const monitor = new VersionMonitor({
    clock,
    membership,
    memberId: 1n,
    version: "3.7.3",
    isLeader: () => state.isLeader,
    versionsOf: async ({ ID }) => {
      const server = versions.get(ID);
      return server === undefined ? undefined : { server, cluster: "" };
    },
    setClusterVersion: async (version) => membership.setClusterVersion(version),
    endDowngrade: async () => {
      state.ended += 1;
    },
  });
  return { monitor, membership, state };
}

test("the leader asks the others and proposes; a follower leaves it", async () => {
  const versions = new Map<bigint, string>();
  const { monitor, membership, state } = watched(versions);
  await monitor.check();
  expect(membership.clusterVersion).toBe("3.0.0");
  versions.set(2n, "3.7.3");
  state.isLeader = false;
  await monitor.check();
  expect(membership.clusterVersion).toBe("3.0.0");
  state.isLeader = true;
  await Promise.all([monitor.check(), monitor.check()]);
  expect(membership.clusterVersion).toBe("3.7.0");
  monitor.stop();
});

test("a downgrade ends when all members run the older version", async () => {
  const versions = new Map([[2n, "3.6.1"]]);
  const { monitor, membership, state } = watched(versions);
  membership.setClusterVersion("3.6.0");
  membership.setDowngrade({ enabled: true, targetVersion: "3.7.0" });
  await monitor.check();
  expect(state.ended).toBe(0);
  versions.set(2n, "3.7.9");
  membership.setClusterVersion("3.7.0");
  await monitor.check();
  expect(state.ended).toBe(1);
});
