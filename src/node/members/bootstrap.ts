// How a member without data begins: founds a cluster together with those that --initial-cluster names, or
// joins one that runs. Ids, first entries and refusals are etcd's, so members of both kinds agree on them.

import { Status, type StatusCode, StatusError } from "../../base/status.ts";
import { firstAnswer, type PeerClient, type RemoteCluster } from "../../peer/peer-client.ts";
import type { Member } from "../../wire/generated/rpc.ts";
import { memberJson } from "../../wire/member-json.ts";
import { compareVersions } from "./cluster-version.ts";
import { clusterIdOf, memberIdOf } from "./identity.ts";
import { sameUrls, whyDifferent } from "./same-urls.ts";

export interface NamedMember {
  readonly name: string;
  readonly peerUrls: readonly string[];
}

export interface BootstrapOptions {
  readonly name: string;
  /** Where the others are told to reach this member. */
  readonly peerUrls: readonly string[];
  /** All members, this one among them. */
  readonly initialCluster: readonly NamedMember[];
  readonly clusterState: "new" | "existing";
  readonly clusterToken: string;
  readonly maxLearners: number;
  readonly requestTimeoutMs: number;
  /** Of this program: "3.7.3". */
  readonly version: string;
}

export interface BootstrapDependencies {
  readonly peerClient: PeerClient;
  /** An address of the host with this name; rejects when there is none. */
  readonly lookUpHost: (name: string) => Promise<string>;
}

/** What to begin with. The log is empty; its metadata are the two ids. */
export interface Beginning {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** The first entries of a new cluster's log, by id: `RawNode.bootstrap`. Empty for one that joins. */
  readonly founders: readonly { readonly id: bigint; readonly context: Uint8Array }[];
  /** Whom to connect to until the log says who the members are, this one included. */
  readonly members: readonly Member[];
}

const lowestClusterVersion = "3.0.0";
/** A founder asks for this long whether the others have begun without it. */
const foundingTimeoutMs = 1000;
const joiningTimeoutMs = 10_000;

/** Rejects with a StatusError in etcd's words when the flags or the others forbid it. */
export async function beginMember(
  options: BootstrapOptions,
  dependencies: BootstrapDependencies,
): Promise<Beginning> {
  if (options.clusterState === "existing") return join(options, dependencies);
  return found(options, dependencies);
}

/** The facts that the flags alone give; --data-dir of a restored backup begins with them. */
export type FoundingOptions = Pick<
  BootstrapOptions,
  "name" | "peerUrls" | "initialCluster" | "clusterToken"
>;

/** What each founder of a new cluster begins with. Rejects with a StatusError when the flags contradict each other. */
export async function foundingMembers(
  options: FoundingOptions,
  lookUpHost: BootstrapDependencies["lookUpHost"],
): Promise<Beginning> {
  const own = ownMember(options);
  await refuseOtherUrls(options, own, lookUpHost);
  refuseRepeatedUrls(options.initialCluster);
  const members = initialMembers(options);
  const local = members.find((member) => member.name === options.name) as Member;
  return {
    memberId: local.ID,
    clusterId: clusterIdOf(members.map((member) => member.ID)),
    founders: members.map((member) => ({
      id: member.ID,
      context: Buffer.from(memberJson(member)),
    })),
    members,
  };
}

async function found(
  options: BootstrapOptions,
  { peerClient, lookUpHost }: BootstrapDependencies,
): Promise<Beginning> {
  const beginning = await foundingMembers(options, lookUpHost);
  const { memberId, members } = beginning;
  const others = urlsOfOthers(members, options.name);
  const seen = await firstAnswer(others, (url) => peerClient.members(url, foundingTimeoutMs)).catch(
    () => undefined,
  );
  const before = seen?.members.find((member) => member.ID === memberId);
  if (before && before.clientURLs.length > 0) {
    throw refusal(`member ${memberId.toString(16)} has already been bootstrapped`);
  }
  return beginning;
}

async function join(
  options: BootstrapOptions,
  { peerClient, lookUpHost }: BootstrapDependencies,
): Promise<Beginning> {
  ownMember(options);
  refuseRepeatedUrls(options.initialCluster);
  const named = initialMembers(options);
  const others = urlsOfOthers(named, options.name);
  const existing = await fetchCluster(others, peerClient);
  const members = await assignIds(named, existing, lookUpHost);
  const local = members.find((member) => member.name === options.name) as Member;
  const remotes = members.filter((member) => member !== local);
  if (!(await isCompatible(remotes, options, peerClient))) {
    throw refusal("incompatible with current running cluster");
  }
  const learners = existing.members.filter((member) => member.isLearner).length;
  if (learners > options.maxLearners) {
    throw refusal("membership: too many learner members in cluster");
  }
  return {
    memberId: local.ID,
    clusterId: existing.clusterId,
    founders: [],
    members: existing.members,
  };
}

async function fetchCluster(
  urls: readonly string[],
  peerClient: PeerClient,
): Promise<RemoteCluster> {
  const prefix = "cannot fetch cluster info from peer urls:";
  const cluster = await firstAnswer(urls, (url) => peerClient.members(url, joiningTimeoutMs)).catch(
    () => {
      throw refusal(
        `${prefix} could not retrieve cluster information from the given URLs`,
        Status.UNAVAILABLE,
      );
    },
  );
  if (cluster.members.length === 0) {
    throw refusal(`${prefix} failed to get raft cluster member(s) from the given URLs`);
  }
  return cluster;
}

/** The members that the flags name, under the ids that the cluster gave them: matched by their peer URLs. */
async function assignIds(
  named: readonly Member[],
  existing: RemoteCluster,
  lookUpHost: BootstrapDependencies["lookUpHost"],
): Promise<Member[]> {
  const what = `error validating peerURLs ${describe(existing)}:`;
  if (named.length !== existing.members.length) {
    throw refusal(`${what} member count is unequal`);
  }
  const assigned: Member[] = [];
  for (const { ID, peerURLs } of existing.members) {
    let match: Member | undefined;
    for (const candidate of named) {
      if (!(await sameUrls(peerURLs, candidate.peerURLs, lookUpHost))) continue;
      match = candidate;
      break;
    }
    if (!match) {
      throw refusal(
        `${what} PeerURLs: no match found for existing member (${ID.toString(16)}, [${peerURLs.join(" ")}])`,
      );
    }
    assigned.push({ ...match, ID });
  }
  return assigned;
}

/** One member at least must say a cluster version that this program can serve, and none another. */
async function isCompatible(
  remotes: readonly Member[],
  options: BootstrapOptions,
  peerClient: PeerClient,
): Promise<boolean> {
  const { requestTimeoutMs: timeoutMs, version } = options;
  const versions = await Promise.all(
    remotes.map(({ peerURLs }) =>
      firstAnswer(peerURLs, (url) => peerClient.versions(url, timeoutMs)).catch(() => undefined),
    ),
  );
  const isDowngrading = await asksForDowngrade(remotes, timeoutMs, peerClient);
  const [major, minor] = version.split(".").map(Number) as [number, number];
  const highest = isDowngrading ? `${major}.${minor + 1}.0` : version;
  const lowest = isDowngrading ? highest : lowestClusterVersion;
  let agrees = false;
  for (const one of versions) {
    if (one === undefined) continue;
    const above = compareVersions(one.cluster, lowest);
    const below = compareVersions(one.cluster, highest);
    if (above === undefined || below === undefined) continue;
    if (above < 0 || below > 0) return false;
    agrees = true;
  }
  return agrees;
}

async function asksForDowngrade(
  remotes: readonly Member[],
  timeoutMs: number,
  peerClient: PeerClient,
): Promise<boolean> {
  for (const { peerURLs } of remotes) {
    try {
      return await firstAnswer(peerURLs, (url) => peerClient.downgradeEnabled(url, timeoutMs));
    } catch {
      // The next may know.
    }
  }
  return false;
}

function ownMember({ name, initialCluster }: FoundingOptions): NamedMember {
  const own = initialCluster.find((member) => member.name === name);
  if (own) return own;
  throw refusal(
    `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`,
  );
}

/** What a member advertises must be what --initial-cluster says of it, or lead to the same addresses. */
async function refuseOtherUrls(
  { name, peerUrls }: FoundingOptions,
  own: NamedMember,
  lookUpHost: BootstrapDependencies["lookUpHost"],
): Promise<void> {
  const reason = await whyDifferent([...peerUrls].sort(), own.peerUrls, lookUpHost);
  if (reason === undefined) return;
  const advertised = [...peerUrls].sort();
  const missing = own.peerUrls.filter((url) => !advertised.includes(url));
  if (missing.length > 0) {
    const urls = missing.map((url) => `${name}=${url}`).join(",");
    throw refusal(
      `--initial-cluster has ${urls} but missing from --initial-advertise-peer-urls=${advertised.join(",")} (${reason})`,
    );
  }
  const extra = advertised.filter((url) => !own.peerUrls.includes(url));
  // As in etcd, these are the advertised ones again.
  const given = advertised.map((url) => `${name}=${url}`).join(",");
  throw refusal(
    `--initial-advertise-peer-urls has ${extra.join(",")} but missing from --initial-cluster=${given}`,
  );
}

function refuseRepeatedUrls(members: readonly NamedMember[]): void {
  const urls = members.flatMap((member) => member.peerUrls);
  if (new Set(urls).size === urls.length) return;
  const pairs = members.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`));
  throw refusal(`initial cluster ${pairs.sort().join(",")} has duplicate url`);
}

/** Sorted by id. */
function initialMembers({ initialCluster, clusterToken }: FoundingOptions): Member[] {
  return initialCluster
    .map(({ name, peerUrls }) => ({
      ID: memberIdOf(peerUrls, clusterToken),
      name,
      peerURLs: [...peerUrls].sort(),
      clientURLs: [],
      isLearner: false,
    }))
    .sort((a, b) => (a.ID < b.ID ? -1 : 1));
}

function urlsOfOthers(members: readonly Member[], name: string): string[] {
  return members
    .filter((member) => member.name !== name)
    .flatMap((member) => member.peerURLs)
    .sort();
}

function describe({ clusterId, members }: RemoteCluster): string {
  const list = members.map(
    ({ ID, name, peerURLs }) =>
      `${ID.toString(16)} ${name || "(unstarted)"} [${peerURLs.join(" ")}]`,
  );
  return `{ClusterID:${clusterId.toString(16)} Members:[${list.join(", ")}]}`;
}

function refusal(message: string, code: StatusCode = Status.FAILED_PRECONDITION): StatusError {
  return new StatusError(code, message);
}
