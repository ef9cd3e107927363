// What one member asks another for beside raft's messages: who the members are, versions, promotion,
// leases at the leader, hashes. The pages and their formats are etcd's, so either side may be etcd.

import { Status, StatusError } from "../base/status.ts";
import { type EtcdError, EtcdErrors, toStatusError } from "../wire/errors.ts";
import { LeaseInternalRequest, LeaseInternalResponse } from "../wire/generated/lease.ts";
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  type LeaseTimeToLiveResponse,
  type Member,
} from "../wire/generated/rpc.ts";
import { parseMembers } from "../wire/member-json.ts";
import type { PeerDialer } from "./peer-dialer.ts";
import { askPeer, type PeerReply } from "./peer-request.ts";

/** A cluster as one of its members sees it. */
export interface RemoteCluster {
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

export interface RemoteVersions {
  readonly server: string;
  /** "not_decided" at first. */
  readonly cluster: string;
}

export interface RemoteHash {
  readonly hash: number;
  readonly compactRevision: number;
  readonly hashRevision: number;
  /** The newest revision there. */
  readonly currentRevision: number;
}

/**
 * Calls to the peer URL of one member. All reject when it does not answer, and with a StatusError when it refuses in
 * words that are known.
 */
export interface PeerClient {
  members(url: string, timeoutMs: number): Promise<RemoteCluster>;
  versions(url: string, timeoutMs: number): Promise<RemoteVersions>;
  downgradeEnabled(url: string, timeoutMs: number): Promise<boolean>;
  /** Promotes a learner; only the leader can. Resolves to the members after it. */
  promote(url: string, id: bigint, timeoutMs: number, token?: string): Promise<readonly Member[]>;
  /** Renews a lease at the leader; resolves to its TTL in seconds. */
  renewLease(url: string, id: bigint, timeoutMs: number): Promise<number>;
  leaseTimeToLive(
    url: string,
    id: bigint,
    withKeys: boolean,
    timeoutMs: number,
  ): Promise<LeaseTimeToLiveResponse>;
  /** The hash of the other's history up to `revision`; 0: up to its newest. */
  hashKv(url: string, clusterId: bigint, revision: number, timeoutMs: number): Promise<RemoteHash>;
}

const leaseReplyBytesMax = 100 * 1024 * 1024;
const protobuf = { "content-type": "application/protobuf" };

/** A refusal that says nothing about the request: ask again, perhaps another member. */
const noAnswer: EtcdError = { code: Status.UNAVAILABLE, message: "the member did not answer" };

export class HttpPeerClient implements PeerClient {
  readonly #dialer: PeerDialer;

  constructor(dialer: PeerDialer) {
    this.#dialer = dialer;
  }

  async members(url: string, timeoutMs: number): Promise<RemoteCluster> {
    const reply = await this.#get(url, "/members", timeoutMs);
    const members = parseMembers(reply.body.toString());
    const id = String(reply.headers["x-etcd-cluster-id"] ?? "");
    if (!/^[0-9a-f]{1,16}$/i.test(id)) throw refused(reply, "the cluster's id is missing");
    return { clusterId: BigInt(`0x${id}`), members };
  }

  async versions(url: string, timeoutMs: number): Promise<RemoteVersions> {
    const reply = await this.#get(url, "/version", timeoutMs);
    const plain = JSON.parse(reply.body.toString()) as Record<string, unknown>;
    return { server: String(plain.etcdserver ?? ""), cluster: String(plain.etcdcluster ?? "") };
  }

  async downgradeEnabled(url: string, timeoutMs: number): Promise<boolean> {
    const reply = await this.#get(url, "/downgrade/enabled", timeoutMs);
    const text = reply.body.toString().trim();
    if (text !== "true" && text !== "false") throw refused(reply, "expected true or false");
    return text === "true";
  }

  async promote(url: string, id: bigint, timeoutMs: number, token?: string) {
    const headers = token === undefined ? {} : { authorization: token };
    const path = `/members/promote/${id}`;
    const reply = await askPeer(this.#dialer, url, { method: "POST", path, headers, timeoutMs });
    const text = reply.body.toString();
    switch (reply.status) {
      case 200:
        return parseMembers(text);
      case 404:
        throw toStatusError(EtcdErrors.memberNotFound);
      case 408:
        throw toStatusError(EtcdErrors.timeout);
      case 412: {
        const isNotReady = text.includes(EtcdErrors.learnerNotReady.message);
        throw toStatusError(isNotReady ? EtcdErrors.learnerNotReady : EtcdErrors.memberNotLearner);
      }
      default:
        throw refused(reply, "member promote");
    }
  }

  async renewLease(url: string, id: bigint, timeoutMs: number): Promise<number> {
    const body = LeaseKeepAliveRequest.encode({ ID: id }).finish();
    const reply = await this.#postLease(url, "/leases", body, timeoutMs);
    const { ID, TTL } = LeaseKeepAliveResponse.decode(reply.body);
    if (ID !== id) throw refused(reply, "another lease was renewed");
    return TTL;
  }

  async leaseTimeToLive(url: string, id: bigint, withKeys: boolean, timeoutMs: number) {
    const body = LeaseInternalRequest.encode({
      LeaseTimeToLiveRequest: { ID: id, keys: withKeys },
    }).finish();
    const reply = await this.#postLease(url, "/leases/internal", body, timeoutMs);
    const answer = LeaseInternalResponse.decode(reply.body).LeaseTimeToLiveResponse;
    if (answer?.ID !== id) throw refused(reply, "another lease was looked up");
    return answer;
  }

  async hashKv(url: string, clusterId: bigint, revision: number, timeoutMs: number) {
    const reply = await askPeer(this.#dialer, url, {
      method: "GET",
      path: "/members/hashkv",
      headers: {
        "content-type": "application/json",
        "x-etcd-cluster-id": clusterId.toString(16),
      },
      body: Buffer.from(revision === 0 ? "{}" : JSON.stringify({ revision })),
      timeoutMs,
    });
    const text = reply.body.toString();
    if (reply.status === 400) {
      for (const known of [EtcdErrors.compacted, EtcdErrors.futureRevision]) {
        if (text.includes(known.message.replace("etcdserver: ", ""))) throw toStatusError(known);
      }
    }
    if (reply.status === 412) throw toStatusError(EtcdErrors.clusterIdMismatch);
    if (reply.status !== 200) throw refused(reply, "hash");
    const plain = JSON.parse(text) as Record<string, unknown>;
    const header = (plain.header ?? {}) as Record<string, unknown>;
    return {
      hash: Number(plain.hash ?? 0),
      compactRevision: Number(plain.compact_revision ?? 0),
      hashRevision: Number(plain.hash_revision ?? 0),
      currentRevision: Number(header.revision ?? 0),
    };
  }

  async #get(url: string, path: string, timeoutMs: number): Promise<PeerReply> {
    const reply = await askPeer(this.#dialer, url, { method: "GET", path, timeoutMs });
    if (reply.status !== 200) throw refused(reply, path);
    return reply;
  }

  async #postLease(url: string, path: string, body: Uint8Array, timeoutMs: number) {
    const reply = await askPeer(this.#dialer, url, {
      method: "POST",
      path,
      headers: protobuf,
      body,
      timeoutMs,
      replyBytesMax: leaseReplyBytesMax,
    });
    if (reply.status === 404) throw toStatusError(EtcdErrors.leaseNotFound);
    if (reply.status === 408) throw toStatusError(EtcdErrors.timeout);
    if (reply.status !== 200) throw refused(reply, path);
    return reply;
  }
}

/** Asks one URL after the other; the first answer counts. A refusal in words that are known ends it. */
export async function firstAnswer<Answer>(
  urls: readonly string[],
  ask: (url: string) => Promise<Answer>,
): Promise<Answer> {
  let last: unknown = toStatusError(noAnswer);
  for (const url of urls) {
    try {
      return await ask(url);
    } catch (error) {
      if (error instanceof StatusError && error.code !== Status.UNAVAILABLE) throw error;
      last = error;
    }
  }
  throw last;
}

function refused(reply: PeerReply, what: string): StatusError {
  const said = reply.body.toString("utf8", 0, 200).trim();
  return new StatusError(Status.UNAVAILABLE, `${what}: status ${reply.status} (${said})`);
}
