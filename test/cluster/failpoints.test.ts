// A member ends, as by kill -9, at each place where it writes, sends, flushes, takes a snapshot or compacts, and
// comes back: nothing is lost, and all hold the same. PORTAL_TEST_LONG=1 takes every place, else a few.
import { expect, test } from "vitest";
import { type FailpointName, failpointNames } from "../../src/base/failpoint.ts";
import { type Cluster, type Member, startCluster } from "../support/cluster.mjs";
import { RecordedLoad } from "../support/recorded-load.mjs";
import { Seeded } from "../support/seeded.mjs";
import { judgeHistory } from "./judge-history.ts";

const isLong = Boolean(process.env.PORTAL_TEST_LONG);
const reachMs = 8_000;
/** More entries than the leader keeps, so that a member that was away gets a snapshot. */
const entriesAway = 900;
const args = ["--snapshot-count=200", "--snapshot-catchup-entries=100"];
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const everywhere: readonly FailpointName[] = [
  ...(["raftBeforeSave", "raftAfterSave", "walBeforeSync", "walAfterSync"] as const),
  ...(["beforeStartDBTxn", "afterStartDBTxn", "beforeCommit", "afterCommit"] as const),
  ...(["commitBeforePreCommitHook", "commitAfterPreCommitHook"] as const),
  ...(["beforeWritebackBuf", "afterWritebackBuf"] as const),
];
const whileTakingSnapshot: readonly FailpointName[] = [
  ...(["applyBeforeOpenSnapshot", "applyAfterOpenSnapshot", "raftBeforeSaveSnap"] as const),
  ...(["raftAfterSaveSnap", "raftBeforeApplySnap", "raftAfterApplySnap"] as const),
  "raftAfterWALRelease",
];
const whileCompacting = failpointNames.filter((name) => name.startsWith("compact"));
const few = (names: readonly FailpointName[], ...chosen: FailpointName[]) =>
  isLong ? names : chosen;

test("a member that ends anywhere in writing, sending or flushing loses nothing", async () => {
  await withCluster(async (cluster, random) => {
    const load = new RecordedLoad({ members: () => cluster.members, random, pauseMs: 3 });
    try {
      for (const name of few(everywhere, "raftBeforeSave", "walAfterSync", "beforeCommit")) {
        await endAt(name, random.pick(cluster.members));
      }
      await endAt("raftBeforeLeaderSend", await cluster.leader());
      await endAt("raftBeforeFollowerSend", await cluster.follower());
    } finally {
      await load.stop();
    }
    const { problems } = await judgeHistory(cluster, load.calls);
    expect(problems).toEqual([]);
    await expectEqualHashes(cluster);
  });
}, 240_000);

test("a member that ends anywhere in taking over a snapshot takes it over afterwards", async () => {
  await withCluster(async (cluster) => {
    for (const name of few(whileTakingSnapshot, "raftBeforeSaveSnap", "raftBeforeApplySnap")) {
      const follower = await cluster.follower();
      await follower.kill();
      await write(await cluster.leader(), entriesAway);
      await follower.start({ wait: false });
      await switchOn(follower, name);
      await returnAfterEnd(follower, name);
    }
    await expectEqualHashes(cluster);
  });
}, 240_000);

test("a member that ends anywhere in compacting compacts afterwards", async () => {
  await withCluster(async (cluster, random) => {
    for (const name of few(whileCompacting, "compactBeforeSetFinishedCompact")) {
      const leader = await cluster.leader();
      await write(leader, 300);
      const { header } = await leader.client.call<{ header: { revision: number } }>("range", {
        key: Buffer.from("x"),
      });
      const member = random.pick(cluster.members);
      await member.setFailpoint(name, "panic");
      const other = cluster.members.find((each) => each !== member) as Member;
      await other.client.call("compact", { revision: Number(header.revision) - 2 }).catch(() => {});
      await returnAfterEnd(member, name);
    }
    await expectEqualHashes(cluster);
  });
}, 240_000);

async function withCluster(body: (cluster: Cluster, random: Seeded) => Promise<void>) {
  const cluster = await startCluster({ kinds: ["portal", "portal", "portal"], args });
  try {
    await body(cluster, new Seeded(11));
  } finally {
    await cluster.stop();
  }
}

async function endAt(name: FailpointName, member: Member) {
  await member.setFailpoint(name, "panic");
  await returnAfterEnd(member, name);
}

/** Waits until the member has ended there, and starts it again. */
async function returnAfterEnd(member: Member, name: FailpointName) {
  const deadlineMs = performance.now() + reachMs;
  while (member.isRunning && performance.now() < deadlineMs) await sleep(10);
  expect(member.isRunning, `${member.name} should have ended at ${name}`).toBe(false);
  await member.start();
}

/** As soon as the process listens for it. */
async function switchOn(member: Member, name: FailpointName) {
  const deadlineMs = performance.now() + reachMs;
  for (;;) {
    try {
      await member.setFailpoint(name, "panic");
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      await sleep(5);
    }
  }
}

async function write(member: Member, count: number) {
  const value = Buffer.alloc(100, "v");
  for (let done = 0; done < count; done += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        member.client.call("put", { key: Buffer.from(`k${index}`), value }),
      ),
    );
  }
}

/** Hashes of the same revisions; compaction may still be under way. */
async function expectEqualHashes(cluster: Cluster) {
  const deadlineMs = performance.now() + 10_000;
  for (;;) {
    const hashes = await cluster.hashes();
    const kinds = new Set(hashes.map(({ hash, compactRevision }) => `${hash}/${compactRevision}`));
    if (kinds.size === 1) return;
    if (performance.now() > deadlineMs) expect(hashes).toEqual([]);
    await sleep(100);
  }
}
