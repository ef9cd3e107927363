// Three and five real processes under load, killed, paused, parted, slowed and replaced: what clients were told
// is linearizable, and every member keeps the same history. PORTAL_TEST_LONG=1 goes on for minutes, with
// five members too. PORTAL_TEST_ETCD=FILE tries the test itself on the real etcd.
import { expect, test } from "vitest";
import { type Cluster, startCluster } from "../support/cluster.mjs";
import { type DisasterName, disasters, sufferDisasters } from "../support/disasters.mjs";
import { RecordedLoad } from "../support/recorded-load.mjs";
import { Seeded } from "../support/seeded.mjs";
import { judgeHistory } from "./judge-history.ts";

const isLong = Boolean(process.env.PORTAL_TEST_LONG);
const seed = Number(process.env.PORTAL_TEST_SEED ?? 20_261_121);
const etcdBinary = process.env.PORTAL_TEST_ETCD;
const shortDisasters: readonly DisasterName[] = [
  "killLeader",
  "partLeader",
  "oneWayAtLeader",
  "pauseLeader",
  "slowDiskOfLeader",
  "endAtFailpoint",
  "replaceMember",
  "killAll",
];

test("three members keep their word through kills, pauses and partitions", async () => {
  await suffer(3, shortDisasters, { lastsMs: 1_200, clients: 8 });
}, 120_000);

test.runIf(isLong)(
  "three members through everything, three times over",
  async () => {
    const random = new Seeded(seed + 1);
    const all = Object.keys(disasters) as DisasterName[];
    for (let round = 0; round < 3; round += 1) {
      await suffer(3, random.shuffled(all), { lastsMs: 1_500, clients: 12, seed: seed + round });
    }
  },
  600_000,
);

test.runIf(isLong)(
  "five members through everything",
  async () => {
    const all = new Seeded(seed + 2).shuffled(Object.keys(disasters) as DisasterName[]);
    await suffer(5, all, { lastsMs: 2_000, clients: 12 });
  },
  600_000,
);

interface Suffering {
  readonly lastsMs: number;
  readonly clients: number;
  readonly seed?: number;
}

async function suffer(size: number, names: readonly DisasterName[], options: Suffering) {
  const random = new Seeded(options.seed ?? seed);
  const kind = etcdBinary ? "etcd" : "portal";
  const cluster = await startCluster({
    kinds: Array.from({ length: size }, () => kind),
    ...(etcdBinary ? { etcdBinary } : {}),
    // Small, so that members that were away are caught up by snapshot as well as by log.
    args: ["--snapshot-count=500", "--snapshot-catchup-entries=200"],
  });
  try {
    await sufferUnderLoad(cluster, names, random, options);
  } finally {
    await cluster.stop();
  }
}

async function sufferUnderLoad(
  cluster: Cluster,
  names: readonly DisasterName[],
  random: Seeded,
  { lastsMs, clients }: Suffering,
) {
  const load = new RecordedLoad({ members: () => cluster.members, random, clients, pauseMs: 4 });
  try {
    await sufferDisasters(cluster, names, random, { lastsMs });
  } finally {
    await load.stop();
  }
  const { problems, gaveUp } = await judgeHistory(cluster, load.calls);
  expect(problems, `seed ${seed}`).toEqual([]);
  // A history that can not be searched proves nothing; nor does load that was always refused.
  expect(gaveUp.length).toBeLessThan(4);
  expect(load.acknowledgedWrites).toBeGreaterThan(names.length * 20);
  const hashes = await cluster.hashes();
  expect(new Set(hashes.map(({ hash }) => hash)).size, JSON.stringify(hashes)).toBe(1);
}
