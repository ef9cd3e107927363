// The words of rafthttp: paths, headers, and what makes two members fit together. Ids are lower-case
// hexadecimal without leading zeros.

import type { IncomingHttpHeaders } from "node:http";

export const paths = {
  raft: "/raft",
  probing: "/raft/probing",
  snapshot: "/raft/snapshot",
  streamPrefix: "/raft/stream/",
} as const;

/** The oldest cluster version that a member like this one joins. */
export const minClusterVersion = "3.0.0";

export const refusals = {
  version: "incompatible version",
  cluster: "cluster ID mismatch",
} as const;

/** Who a member is in every request it makes. */
export interface PeerIdentity {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  /** What others may dial it by; sent so that a member not known yet can be answered. */
  readonly peerUrls: readonly string[];
  /** "3.7.3". */
  readonly serverVersion: string;
}

export function formatId(id: bigint): string {
  return id.toString(16);
}

/** Undefined when the text is no 64-bit hexadecimal number. */
export function parseId(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^[0-9a-fA-F]{1,16}$/.test(text)) return undefined;
  return BigInt(`0x${text}`);
}

export function identityHeaders(identity: PeerIdentity): Record<string, string> {
  return {
    "X-Server-From": formatId(identity.memberId),
    "X-Server-Version": identity.serverVersion,
    "X-Min-Cluster-Version": minClusterVersion,
    "X-Etcd-Cluster-ID": formatId(identity.clusterId),
    "X-PeerURLs": identity.peerUrls.join(","),
  };
}

/** Why a request with these headers is refused with status 412; undefined when it fits. */
export function incompatibility(
  headers: IncomingHttpHeaders,
  identity: PeerIdentity,
): string | undefined {
  const remote = parseVersion(header(headers, "x-server-version"));
  const remoteMin = parseVersion(header(headers, "x-min-cluster-version"));
  const own = parseVersion(identity.serverVersion);
  if (remote === undefined || remoteMin === undefined || own === undefined) return refusals.version;
  if (remote < oldest || remoteMin > own) return refusals.version;
  const clusterId = header(headers, "x-etcd-cluster-id");
  return clusterId === formatId(identity.clusterId) ? undefined : refusals.cluster;
}

/** Whether a member that answers with this version has the streams that we read. */
export function hasStreams(headers: IncomingHttpHeaders): boolean {
  return (parseVersion(header(headers, "x-server-version")) ?? 0) >= versionNumber(2, 1);
}

export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

const oldest = versionNumber(3, 0);

function versionNumber(major: number, minor: number): number {
  return major * 100_000 + minor;
}

/** Major and minor as one number that can be compared. Without a version it is 2.0, as it was then. */
function parseVersion(text: string | undefined): number | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})\.\d/.exec(
    text === undefined || text === "" ? "2.0.0" : text,
  );
  return match === null ? undefined : versionNumber(Number(match[1]), Number(match[2]));
}
