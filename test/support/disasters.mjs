// What a cluster of real processes goes through: each disaster takes a cluster, a seeded chance and how long it
// should last, and leaves the cluster whole again. Those that need a leader wait for one.
import { setTimeout as sleep } from "node:timers/promises";

const clusterIsWholeMs = 30_000;
const endings = [
  ...["raftBeforeSave", "raftAfterSave", "walBeforeSync", "walAfterSync"],
  ...["raftBeforeLeaderSend", "raftBeforeFollowerSend"],
  ...["beforeStartDBTxn", "beforeCommit", "afterCommit", "beforeWritebackBuf", "afterWritebackBuf"],
  ...["commitBeforePreCommitHook", "commitAfterPreCommitHook"],
];

export const disasters = {
  async killLeader(cluster, _random, lastsMs) {
    await killFor([await cluster.leader()], lastsMs);
  },
  async killFollower(cluster, _random, lastsMs) {
    await killFor([await cluster.follower()], lastsMs);
  },
  async killMajority(cluster, random, lastsMs) {
    const count = Math.floor(cluster.members.length / 2) + 1;
    await killFor(random.shuffled(cluster.members).slice(0, count), lastsMs);
  },
  async killAll(cluster) {
    await killFor(cluster.members, 0);
  },
  async stopLeaderGracefully(cluster) {
    const leader = await cluster.leader();
    await leader.terminate();
    await leader.start();
  },
  async pauseLeader(cluster, _random, lastsMs) {
    await pauseFor([await cluster.leader()], lastsMs);
  },
  async pauseFollower(cluster, _random, lastsMs) {
    await pauseFor([await cluster.follower()], lastsMs);
  },
  async pauseAll(cluster, _random, lastsMs) {
    await pauseFor(cluster.members, lastsMs);
  },
  /** Every write to the log takes 20 to 120 ms longer. The real etcd has no failpoint for it: it stalls instead. */
  async slowDiskOfLeader(cluster, random, lastsMs) {
    const leader = await cluster.leader();
    if (!leader.hasFailpoints) return disasters.stallLeader(cluster, random, lastsMs);
    await leader.setFailpoint("walBeforeSync", `sleep("${random.between(20, 120)}ms")`);
    await sleep(lastsMs);
    await leader.setFailpoint("walBeforeSync", "off");
  },
  async slowDiskOfFollower(cluster, random, lastsMs) {
    const follower = await cluster.follower();
    if (!follower.hasFailpoints) return pauseFor([follower], lastsMs);
    await follower.setFailpoint("walAfterSync", `sleep("${random.between(50, 400)}ms")`);
    await sleep(lastsMs);
    await follower.setFailpoint("walAfterSync", "off");
  },
  /** One member ends, as by kill -9, at a place of chance: before or after it has written, sent, flushed. */
  async endAtFailpoint(cluster, random, lastsMs) {
    const member = random.pick(cluster.members);
    if (!member.hasFailpoints) return killFor([member], lastsMs);
    await member.setFailpoint(random.pick(endings), "panic");
    const end = performance.now() + lastsMs * 2;
    while (member.isRunning && performance.now() < end) await sleep(10);
    // Not every place is passed in this time.
    await killFor([member], 0);
  },
  /** It stands still again and again, 20 to 150 ms each time. */
  async stallLeader(cluster, random, lastsMs) {
    const leader = await cluster.leader();
    const end = performance.now() + lastsMs;
    while (performance.now() < end) {
      leader.pause();
      await sleep(random.between(20, 150));
      leader.resume();
      await sleep(random.between(5, 60));
    }
  },
  async partLeader(cluster, random, lastsMs) {
    const leader = await cluster.leader();
    const others = cluster.names.filter((name) => name !== leader.name);
    cluster.network.partition([[leader.name], others], random.pick(["hold", "drop", "cut"]));
    await healAfter(cluster, lastsMs);
  },
  async partMinority(cluster, random, lastsMs) {
    const names = random.shuffled(cluster.names);
    const size = Math.floor((names.length - 1) / 2);
    const mode = random.pick(["hold", "drop", "cut"]);
    cluster.network.partition([names.slice(0, size), names.slice(size)], mode);
    await healAfter(cluster, lastsMs);
  },
  /** The leader is heard and does not hear, or hears and is not heard. */
  async oneWayAtLeader(cluster, random, lastsMs) {
    const leader = await cluster.leader();
    const isDeaf = random.chance(0.5);
    const mode = random.pick(["hold", "drop"]);
    for (const name of cluster.names) {
      if (name === leader.name) continue;
      if (isDeaf) cluster.network.setRule(name, leader.name, { mode });
      else cluster.network.setRule(leader.name, name, { mode });
    }
    await healAfter(cluster, lastsMs);
  },
  /** Every member hears only its neighbours. */
  async ring(cluster, random, lastsMs) {
    const names = random.shuffled(cluster.names);
    for (const [index, a] of names.entries()) {
      for (const [other, b] of names.entries()) {
        const distance = Math.abs(index - other);
        const isNear = distance <= 1 || distance === names.length - 1;
        // Of three, two ends do not hear each other.
        const isCut = names.length === 3 ? distance === 2 : !isNear;
        if (isCut) cluster.network.setRule(a, b, { mode: "cut" });
      }
    }
    await healAfter(cluster, lastsMs);
  },
  async slowNetwork(cluster, random, lastsMs) {
    for (const a of cluster.names) {
      for (const b of cluster.names) {
        if (a === b) continue;
        const rule = random.chance(0.3)
          ? { bytesPerSecond: 200_000 }
          : { delayMs: random.between(0, 60), jitterMs: random.between(0, 120) };
        cluster.network.setRule(a, b, rule);
      }
    }
    await healAfter(cluster, lastsMs);
  },
  async moveLeader(cluster) {
    const leader = await cluster.leader();
    const target = cluster.members.find((member) => member !== leader);
    // A transfer that does not come off in time is refused, which is no harm.
    await leader.client.call("moveLeader", { targetID: target.id }).catch(() => {});
  },
  async replaceMember(cluster, random) {
    const leader = await cluster.leader();
    const choice = random.chance(0.3) ? leader : await cluster.follower();
    await cluster.replace(choice);
  },
};

async function killFor(members, lastsMs) {
  await Promise.all(members.map((member) => member.kill()));
  await sleep(lastsMs);
  await Promise.all(members.map((member) => member.start({ wait: false })));
  await Promise.all(members.map((member) => member.waitUntilHealthy(clusterIsWholeMs)));
}

async function pauseFor(members, lastsMs) {
  for (const member of members) member.pause();
  await sleep(lastsMs);
  for (const member of members) member.resume();
}

async function healAfter(cluster, lastsMs) {
  await sleep(lastsMs);
  cluster.network.heal();
}

/** One after another, with calm between them. `onStep(name)` hears of each; throws with the story so far. */
export async function sufferDisasters(cluster, names, random, { lastsMs = 1_500, calmMs, onStep }) {
  const story = [];
  for (const name of names) {
    story.push(name);
    onStep?.(name);
    try {
      await disasters[name](cluster, random, lastsMs);
      await cluster.waitUntilHealthy(clusterIsWholeMs);
      await sleep(calmMs ?? 300);
    } catch (error) {
      throw new Error(`after ${story.join(", ")}: ${error.stack}`, { cause: error });
    }
  }
}
