// Types of cluster.mjs and peer-network.mjs, for tests in TypeScript.

import type { EtcdClient } from "./etcd-client.mjs";
import type { ExitResult } from "./servers.mjs";

export type MemberKind = "portal" | "etcd";

export interface ClusterOptions {
  /** One for each member. */
  readonly kinds: readonly MemberKind[];
  /** Needed when a kind is "etcd". */
  readonly etcdBinary?: string;
  /** Another way to start Portal. */
  readonly portalCommand?: readonly string[];
  /** Extra flags of every member, after the common ones. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** False: members reach each other directly, and rules of the network do nothing. */
  readonly hasProxies?: boolean;
}

export interface LinkRule {
  readonly mode?: "open" | "hold" | "drop" | "cut";
  readonly delayMs?: number;
  readonly jitterMs?: number;
  readonly bytesPerSecond?: number;
}

export interface PeerNetwork {
  setRule(from: string, to: string, rule: LinkRule): void;
  separate(a: string, b: string, mode?: LinkRule["mode"]): void;
  partition(groups: readonly (readonly string[])[], mode?: LinkRule["mode"]): void;
  surround(name: string, others: readonly string[], rule: LinkRule): void;
  heal(): void;
}

export interface Member {
  readonly name: string;
  readonly kind: MemberKind;
  readonly id: bigint;
  readonly pid: number | undefined;
  readonly endpoint: string;
  readonly peerUrl: string;
  readonly dataDir: string;
  readonly isRunning: boolean;
  readonly isPaused: boolean;
  readonly output: string;
  readonly lastExit: (ExitResult & { readonly output: string }) | undefined;
  readonly client: EtcdClient;
  start(options?: {
    readonly state?: "new" | "existing";
    readonly args?: readonly string[];
    readonly wait?: boolean;
    readonly isLearner?: boolean;
  }): Promise<void>;
  waitUntilHealthy(timeoutMs?: number): Promise<void>;
  tryStatus(): Promise<MemberStatus | undefined>;
  readonly hasFailpoints: boolean;
  setFailpoint(name: string, term: string): Promise<void>;
  pause(): void;
  resume(): void;
  kill(): Promise<void>;
  terminate(): Promise<ExitResult | undefined>;
}

export interface MemberStatus {
  readonly leader: bigint;
  readonly raftTerm: number;
  readonly raftIndex: number;
  readonly raftAppliedIndex: number;
  readonly dbSize: number;
}

export interface StoreHash {
  readonly hash: number;
  readonly compactRevision: number;
  readonly revision: number;
}

export interface Cluster {
  readonly members: readonly Member[];
  readonly running: readonly Member[];
  readonly network: PeerNetwork;
  readonly names: readonly string[];
  readonly endpoints: readonly string[];
  leader(timeoutMs?: number): Promise<Member>;
  follower(): Promise<Member>;
  waitUntilHealthy(timeoutMs?: number): Promise<void>;
  hashes(): Promise<StoreHash[]>;
  replace(member: Member): Promise<void>;
  grow(
    kind: MemberKind,
    options?: {
      readonly isLearner?: boolean;
      readonly wait?: boolean;
      readonly args?: readonly string[];
    },
  ): Promise<Member>;
  shrink(member: Member): Promise<void>;
  stop(): Promise<void>;
}

export function startCluster(options: ClusterOptions): Promise<Cluster>;
export function retry<Result>(action: () => Promise<Result>, timeoutMs?: number): Promise<Result>;
