// The version that the cluster agrees on: the lowest of its members', so that nobody is sent what it does
// not know. The leader asks the members over their peer URLs and proposes it; members may be etcd's.

import type { Clock, Timer } from "../../io/clock.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import type { DowngradeInfo, Membership } from "./membership.ts";

/** What a cluster begins with while not all of its members can be asked. */
const lowestVersion = "3.0.0";
const checkMs = 4000;

/** What /version says. */
export interface Versions {
  readonly server: string;
  /** "not_decided" at first. */
  readonly cluster: string;
}

export interface VersionMonitorParts {
  readonly clock: Clock;
  readonly membership: Membership;
  readonly memberId: bigint;
  /** Of this member's program. */
  readonly version: string;
  isLeader(): boolean;
  /** Asks a member at its peer URLs; undefined when it does not answer. Never rejects. */
  versionsOf(member: Member): Promise<Versions | undefined>;
  /** Proposes the cluster's version; failures are tried again later. */
  setClusterVersion(version: string): Promise<unknown>;
  /** Proposes the end of a downgrade; failures are tried again later. */
  endDowngrade(): Promise<unknown>;
}

/** Compares versions by their numbers, major and minor only; undefined when one can not be read. */
export function compareVersions(a: string, b: string): number | undefined {
  const left = partsOf(a);
  const right = partsOf(b);
  if (!left || !right) return undefined;
  return left[0] - right[0] || left[1] - right[1];
}

/** "3.7.3" -> "3.7.0"; undefined for what is no version. */
export function clusterVersionOf(version: string): string | undefined {
  const parts = partsOf(version);
  return parts && `${parts[0]}.${parts[1]}.0`;
}

/** The one version that a cluster of `version` may be downgraded to. */
export function downgradeTargetOf(version: string): string | undefined {
  const parts = partsOf(version);
  return parts && `${parts[0]}.${parts[1] - 1}.0`;
}

/**
 * The version to agree on next, or undefined when it stays. `servers` are the versions of all members, undefined
 * for one that does not answer.
 */
export function nextClusterVersion(
  current: string,
  servers: readonly (string | undefined)[],
  downgrade: DowngradeInfo,
): string | undefined {
  const lowest = lowestOf(servers);
  if (current === "") return lowest ?? lowestVersion;
  if (lowest === undefined) return undefined;
  if (downgrade.enabled) {
    const target = clusterVersionOf(downgrade.targetVersion);
    if (target === undefined || target === clusterVersionOf(current)) return undefined;
    const isOneDown = target === downgradeTargetOf(current) && target === downgradeTargetOf(lowest);
    return isOneDown ? target : undefined;
  }
  const sameMajor = partsOf(lowest)?.[0] === partsOf(current)?.[0];
  return sameMajor && (compareVersions(current, lowest) ?? 0) < 0 ? lowest : undefined;
}

function lowestOf(servers: readonly (string | undefined)[]): string | undefined {
  let lowest: string | undefined;
  for (const server of servers) {
    const version = server === undefined ? undefined : clusterVersionOf(server);
    if (version === undefined) return undefined;
    if (lowest === undefined || (compareVersions(version, lowest) ?? 0) < 0) lowest = version;
  }
  return lowest;
}

function partsOf(version: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)(\.\d+)?([-+].*)?$/.exec(version);
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}

/** Looks every 4 s while this member leads, and at once when it begins to. */
export class VersionMonitor {
  readonly #parts: VersionMonitorParts;
  #timer: Timer | undefined;
  #isStopped = false;
  #checking: Promise<void> | undefined;

  constructor(parts: VersionMonitorParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** To be called when the first entry of this leader's term is applied. Resolves when a check is done. */
  check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  #schedule(): void {
    this.#timer = this.#parts.clock.setTimer(
      checkMs,
      () => {
        if (this.#isStopped) return;
        void this.check();
        this.#schedule();
      },
      { unref: true },
    );
  }

  async #check(): Promise<void> {
    const { membership } = this.#parts;
    if (this.#isStopped || !this.#parts.isLeader()) return;
    const servers = await this.#askAll();
    if (this.#isStopped || !this.#parts.isLeader()) return;
    const next = nextClusterVersion(membership.clusterVersion, servers, membership.downgrade);
    try {
      if (next !== undefined) await this.#parts.setClusterVersion(next);
      else if (this.#isDowngraded(servers)) await this.#parts.endDowngrade();
    } catch {
      // No leader any more, or no quorum: whoever leads looks again.
    }
  }

  #askAll(): Promise<(string | undefined)[]> {
    const { membership, memberId, version } = this.#parts;
    return Promise.all(
      membership.list().map(async (member) => {
        if (member.ID === memberId) return version;
        return (await this.#parts.versionsOf(member))?.server;
      }),
    );
  }

  #isDowngraded(servers: readonly (string | undefined)[]): boolean {
    const { enabled, targetVersion } = this.#parts.membership.downgrade;
    if (!enabled) return false;
    return servers.every(
      (server) => server !== undefined && compareVersions(server, targetVersion) === 0,
    );
  }
}
