// Types of disasters.mjs, for tests in TypeScript.

import type { Cluster } from "./cluster.mjs";
import type { Seeded } from "./seeded.mjs";

export type DisasterName =
  | "killLeader"
  | "killFollower"
  | "killMajority"
  | "killAll"
  | "stopLeaderGracefully"
  | "pauseLeader"
  | "pauseFollower"
  | "pauseAll"
  | "slowDiskOfLeader"
  | "slowDiskOfFollower"
  | "endAtFailpoint"
  | "stallLeader"
  | "partLeader"
  | "partMinority"
  | "oneWayAtLeader"
  | "ring"
  | "slowNetwork"
  | "moveLeader"
  | "replaceMember";

export const disasters: Readonly<
  Record<DisasterName, (cluster: Cluster, random: Seeded, lastsMs: number) => Promise<void>>
>;

export function sufferDisasters(
  cluster: Cluster,
  names: readonly DisasterName[],
  random: Seeded,
  options: {
    readonly lastsMs?: number;
    readonly calmMs?: number;
    readonly onStep?: (name: string) => void;
  },
): Promise<void>;
