// What other members ask beside raft's messages, on the peer addresses: who belongs to the cluster,
// versions, promotions, leases at the leader, hashes. Paths, formats and statuses are etcd's, whose
// members ask and answer the same.

import { Status, StatusError } from "../base/status.ts";
import type { Replica } from "../node/replica-types.ts";
import { EtcdErrors } from "../wire/errors.ts";
import { LeaseInternalRequest, LeaseInternalResponse } from "../wire/generated/lease.ts";
import {
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  ResponseHeader,
} from "../wire/generated/rpc.ts";
import { memberJson } from "../wire/member-json.ts";
import type { Versions } from "./http.ts";

export interface PeerPageRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

export interface PeerPageReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** What the pages tell of their member. */
export interface PeerPagesSource {
  readonly replica: Pick<
    Replica,
    | "clusterId"
    | "members"
    | "promoteMember"
    | "lessor"
    | "leaseTimes"
    | "renewLease"
    | "store"
    | "readIndexAsync"
  >;
  readonly versions: () => Versions;
  readonly isDowngrading: () => boolean;
}

/** A lease's id and a flag need a few bytes. */
const leaseRequestBytesMax = 64 * 1024;
const promotePrefix = "/members/promote/";

const badMethod = (allowed: string) => failure(405, "Method Not Allowed", { allow: allowed });

export class PeerPages {
  readonly #source: PeerPagesSource;

  constructor(source: PeerPagesSource) {
    this.#source = source;
  }

  /** Answers any path; what it does not know is not found. Never rejects for what a peer sent. */
  readonly answer = async (request: PeerPageRequest): Promise<PeerPageReply> => {
    const { path, method } = request;
    if (path.startsWith(promotePrefix)) {
      return method === "POST"
        ? this.#promote(path.slice(promotePrefix.length))
        : badMethod("POST");
    }
    switch (path) {
      case "/members":
        return method === "GET" ? this.#members() : badMethod("GET");
      case "/members/hashkv":
        return method === "GET" ? this.#hash(request) : badMethod("GET");
      case "/leases":
      case "/leases/internal":
        return method === "POST" ? this.#lease(request) : failure(405, "Method Not Allowed");
      case "/downgrade/enabled":
        return method === "GET" ? this.#downgrade() : badMethod("GET");
      case "/version": {
        if (method !== "GET") return badMethod("GET");
        const { server, cluster, storage } = this.#source.versions();
        return json(JSON.stringify({ etcdserver: server, etcdcluster: cluster, storage }));
      }
      default:
        return failure(404, "404 page not found");
    }
  };

  #members(): PeerPageReply {
    const members = this.#source.replica.members().map(memberJson);
    return json(`[${members.join(",")}]\n`, this.#clusterHeader());
  }

  async #promote(text: string): Promise<PeerPageReply> {
    const headers = this.#clusterHeader();
    const id = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
    if (BigInt.asUintN(64, id) !== id) {
      return failure(404, `member ${text} not found in cluster`, headers);
    }
    const { replica } = this.#source;
    try {
      const members = (await replica.promoteMember(id)).map(memberJson);
      return json(`[${members.join(",")}]\n`, headers);
    } catch (error) {
      switch (messageOf(error)) {
        case EtcdErrors.memberNotFound.message:
          return failure(404, "membership: ID not found", headers);
        case EtcdErrors.memberNotLearner.message:
          return failure(412, "membership: can only promote a learner member", headers);
        case EtcdErrors.learnerNotReady.message:
          return failure(412, EtcdErrors.learnerNotReady.message, headers);
        default:
          return { ...json('{"message":"Internal Server Error"}', headers), status: 500 };
      }
    }
  }

  #hash({ headers, body }: PeerPageRequest): PeerPageReply {
    const asked = headers["x-etcd-cluster-id"] ?? "";
    if (asked !== "" && asked !== this.#clusterId) {
      return failure(412, "cluster ID mismatch");
    }
    const revision = readRevision(body);
    if (revision === undefined) return failure(400, "error unmarshalling request");
    const { store } = this.#source.replica;
    const result = store.hashKv(revision);
    if ("error" in result) {
      const known = result.error === "compacted" ? EtcdErrors.compacted : EtcdErrors.futureRevision;
      return failure(400, known.message.replace("etcdserver: ", ""));
    }
    // Go leaves zeros out.
    const plain = {
      header: { revision: store.currentRevision || undefined },
      hash: result.hash || undefined,
      compact_revision: result.compactRevision || undefined,
      hash_revision: result.revision || undefined,
    };
    return json(JSON.stringify(plain), this.#clusterHeader());
  }

  async #lease({ path, body }: PeerPageRequest): Promise<PeerPageReply> {
    if (body.length > leaseRequestBytesMax) return failure(413, "request body too large");
    try {
      // Who is not the leader must not pass it on: two members could send it to and fro.
      if (!this.#source.replica.lessor.isPrimary) return notPrimary(path);
      const reply = path === "/leases" ? await this.#renew(body) : await this.#timeToLive(body);
      return { status: 200, headers: { "content-type": "application/protobuf" }, body: reply };
    } catch (error) {
      return leaseFailure(path, error);
    }
  }

  async #renew(body: Uint8Array): Promise<Uint8Array> {
    const { ID } = LeaseKeepAliveRequest.decode(body);
    const TTL = await this.#source.replica.renewLease(ID);
    return LeaseKeepAliveResponse.encode({ header: undefined, ID, TTL }).finish();
  }

  async #timeToLive(body: Uint8Array): Promise<Uint8Array> {
    const { LeaseTimeToLiveRequest: request } = LeaseInternalRequest.decode(body);
    const ID = request?.ID ?? 0n;
    const times = await this.#source.replica.leaseTimes(ID, request?.keys ?? false);
    if (!times) throw new StatusError(Status.NOT_FOUND, EtcdErrors.leaseNotFound.message);
    return LeaseInternalResponse.encode({
      LeaseTimeToLiveResponse: {
        // An etcd that forwards this to its client ends itself when there is none.
        header: ResponseHeader.fromPartial({}),
        ID,
        TTL: times.ttl,
        grantedTTL: times.grantedTtl,
        keys: [...times.keys],
      },
    }).finish();
  }

  async #downgrade(): Promise<PeerPageReply> {
    const headers = this.#clusterHeader();
    try {
      await this.#source.replica.readIndexAsync();
    } catch (error) {
      return failure(500, `failed linearized read: ${messageOf(error)}`, headers);
    }
    const body = String(this.#source.isDowngrading());
    return { status: 200, headers: { ...headers, "content-type": "text/plain" }, body };
  }

  get #clusterId(): string {
    return this.#source.replica.clusterId.toString(16);
  }

  #clusterHeader(): Readonly<Record<string, string>> {
    return { "x-etcd-cluster-id": this.#clusterId };
  }
}

function notPrimary(path: string): PeerPageReply {
  return failure(path === "/leases" ? 400 : 500, "not a primary lessor");
}

function leaseFailure(path: string, error: unknown): PeerPageReply {
  if (!(error instanceof StatusError)) return failure(400, "error unmarshalling request");
  switch (error.code) {
    case Status.NOT_FOUND:
      return failure(404, "lease not found");
    case Status.UNAVAILABLE:
      // Another leader, or none: whoever asked looks again.
      return error.message.includes("timed out")
        ? failure(408, "waiting for node to catch up its applied index has timed out")
        : notPrimary(path);
    default:
      return failure(400, error.message);
  }
}

function readRevision(body: Uint8Array): number | undefined {
  try {
    const plain = JSON.parse(Buffer.from(body).toString()) as { readonly revision?: unknown };
    const revision = plain?.revision ?? 0;
    return Number.isSafeInteger(revision) ? (revision as number) : undefined;
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function json(body: string, headers: Readonly<Record<string, string>> = {}): PeerPageReply {
  return { status: 200, headers: { ...headers, "content-type": "application/json" }, body };
}

function failure(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): PeerPageReply {
  const plain = {
    "content-type": "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
  };
  return { status, headers: { ...headers, ...plain }, body: `${text}\n` };
}
