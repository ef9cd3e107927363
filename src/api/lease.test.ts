import { describe, expect, test } from "vitest";
import { Status, type StatusCode } from "../base/status.ts";
import type { Clock } from "../io/clock.ts";
import { Lessor, type LessorOptions } from "../lease/lessor.ts";
import type { Leadership } from "../node/leadership.ts";
import { LeaseCalls } from "../node/lease-calls.ts";
import { MemberMetrics } from "../node/member-metrics.ts";
import { Membership } from "../node/members/membership.ts";
import { noPeerCalls } from "../node/no-peers.ts";
import { CommandField, type TicketReceiver } from "../node/replica-types.ts";
import type { GrpcServer } from "../rpc/grpc/server.ts";
import type { RawUnaryCall, RawUnaryHandler } from "../rpc/grpc/types.ts";
import { EtcdErrors, toStatusError } from "../wire/errors.ts";
import {
  LeaseCheckpointRequest,
  LeaseGrantRequest,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponse,
} from "../wire/generated/rpc.ts";
import { type LeaseReplica, LeaseService } from "./lease.ts";
import { FakeStreamCall, settle } from "./stream-testing.ts";

/** A member whose proposals are written down, and a lessor without rows. */
class FakeMember {
  nowMs = 0;
  readable = true;
  readonly proposed: { readonly field: number; readonly message: Buffer }[] = [];
  readonly lessor: Lessor;
  readonly replica: LeaseReplica;
  readonly service: LeaseService;
  readonly #handlers = new Map<string, RawUnaryHandler>();

  constructor(options: Partial<LessorOptions> = {}) {
    this.lessor = new Lessor({ minTtlSeconds: 2, ...options }, { stage: () => {} });
    this.lessor.promote(0);
    const clock: Clock = {
      now: () => this.nowMs,
      wallNow: () => 1_700_000_000_000,
      setTimer: () => ({ cancel: () => {} }),
    };
    this.replica = {
      clusterId: 11n,
      memberId: 22n,
      store: { currentRevision: 9 } as LeaseReplica["store"],
      lessor: this.lessor,
      raftTerm: 3,
      header: () => ({ clusterId: 11n, memberId: 22n, revision: 9, raftTerm: 3 }),
      propose: (field, message, start, end, receiver, ticket) => {
        this.proposed.push({ field, message: Buffer.from(message.slice(start, end)) });
        this.#answer(receiver as TicketReceiver, ticket);
      },
      proposeAsync: (_field, message) => {
        const request = LeaseCheckpointRequest.decode(message);
        for (const { ID, remainingTTL } of request.checkpoints) {
          this.lessor.checkpoint(ID, remainingTTL, this.nowMs);
        }
        return Promise.resolve(new Uint8Array(0));
      },
      readIndexAsync: () => Promise.resolve(),
      canReadNow: () => this.readable,
      renewLease: (id) => calls.renew(id),
      leaseTimes: (id, withKeys) =>
        this.lessor.isPrimary
          ? Promise.resolve(this.lessor.timeToLive(id, this.nowMs, withKeys))
          : Promise.reject(toStatusError(EtcdErrors.leaderChanged)),
    };
    const leadership = {
      role: "leader",
      leader: 22n,
      changed: async (ms: number) => {
        this.nowMs += ms;
      },
    };
    const calls = new LeaseCalls({
      clock,
      lessor: this.lessor,
      membership: new Membership(undefined),
      leadership: leadership as unknown as Leadership,
      metrics: new MemberMetrics(),
      calls: noPeerCalls,
      replica: this.replica,
      requestTimeoutMs: 1000,
    });
    this.service = new LeaseService(this.replica, clock);
    const server: Pick<GrpcServer, "addRawUnary" | "addRawStream"> = {
      addRawUnary: (path, handler) => void this.#handlers.set(path, handler),
      addRawStream: () => {},
    };
    this.service.register(server as GrpcServer);
  }

  failure: { readonly code: StatusCode; readonly message: string } | undefined;

  #answer(receiver: TicketReceiver, ticket: number): void {
    const failure = this.failure;
    queueMicrotask(() => {
      if (failure) receiver.onFailed(ticket, failure.code, failure.message);
      else receiver.onApplied(ticket, Buffer.from("xreplyx"), 1, 6);
    });
  }

  /** Calls a unary method; resolves to its reply, or its status. */
  call(name: string, request: Uint8Array): Promise<Buffer | { code: number; message: string }> {
    return new Promise((resolve) => {
      const call = {
        reply: (source: Uint8Array, start: number, end: number) =>
          resolve(Buffer.from(source.slice(start, end))),
        fail: (code: number, message: string) => resolve({ code, message }),
      };
      const handler = this.#handlers.get(`/etcdserverpb.Lease/${name}`) as RawUnaryHandler;
      const padded = Buffer.concat([Buffer.alloc(2), request]);
      handler(call as unknown as RawUnaryCall, padded, 2, padded.length);
    });
  }

  keepAlive() {
    const call = new FakeStreamCall();
    const stream = this.service.openKeepAlive(call);
    return {
      call,
      stream,
      send: (ID: bigint) => {
        const bytes = Buffer.from(LeaseKeepAliveRequest.encode({ ID }).finish());
        stream.onMessage(bytes, 0, bytes.length);
      },
      received: async () => {
        await settle(1);
        return call.messages.splice(0).map((message) => {
          const response = LeaseKeepAliveResponse.decode(message);
          expect(message.equals(LeaseKeepAliveResponse.encode(response).finish())).toBe(true);
          expect(response.header).toEqual(this.replica.header());
          return [response.ID, response.TTL];
        });
      },
    };
  }
}

describe("grant and revoke", () => {
  test("an open id is chosen before proposing, a given one is left alone", async () => {
    const member = new FakeMember();
    for (const ID of [0n, 0n, 5n, -5n]) {
      const request = LeaseGrantRequest.encode({ ID, TTL: 60 }).finish();
      expect(await member.call("LeaseGrant", request)).toEqual(Buffer.from("reply"));
    }
    const granted = member.proposed.map(({ message }) => LeaseGrantRequest.decode(message));
    expect(member.proposed.every(({ field }) => field === CommandField.leaseGrant)).toBe(true);
    expect(granted.map(({ TTL }) => TTL)).toEqual([60, 60, 60, 60]);
    const ids = granted.map(({ ID }) => ID);
    expect(ids.slice(2)).toEqual([5n, -5n]);
    expect(ids[0]).toBeGreaterThan(0n);
    expect(ids[1]).toBeGreaterThan(ids[0] as bigint);
  });

  test("what the log answers is passed on; broken bytes are refused", async () => {
    const member = new FakeMember();
    member.failure = EtcdErrors.leaseNotFound;
    expect(await member.call("LeaseRevoke", Buffer.from([8, 1]))).toEqual({
      code: Status.NOT_FOUND,
      message: "etcdserver: requested lease not found",
    });
    expect(await member.call("LeaseGrant", Buffer.from([8]))).toMatchObject({
      code: Status.INTERNAL,
    });
  });
});

test("time to live, with and without keys, and of no lease", async () => {
  const member = new FakeMember();
  member.lessor.grant(7n, 60, 0);
  member.lessor.attach(7n, Buffer.from("b"));
  member.lessor.attach(7n, Buffer.from("a"));
  member.nowMs = 1500;
  const ask = async (ID: bigint, keys: boolean) => {
    const request = LeaseTimeToLiveRequest.encode({ ID, keys }).finish();
    const reply = await member.call("LeaseTimeToLive", request);
    const { header, ...rest } = LeaseTimeToLiveResponse.decode(reply as Buffer);
    expect(header).toEqual(member.replica.header());
    return { ...rest, keys: rest.keys.map((key) => Buffer.from(key).toString()) };
  };
  expect(await ask(7n, true)).toEqual({ ID: 7n, TTL: 58, grantedTTL: 60, keys: ["a", "b"] });
  member.readable = false;
  expect(await ask(7n, false)).toEqual({ ID: 7n, TTL: 58, grantedTTL: 60, keys: [] });
  expect(await ask(8n, true)).toEqual({ ID: 8n, TTL: -1, grantedTTL: 0, keys: [] });
  member.lessor.demote();
  const request = LeaseTimeToLiveRequest.encode({ ID: 7n, keys: false }).finish();
  expect(await member.call("LeaseTimeToLive", request)).toEqual({
    code: Status.UNAVAILABLE,
    message: "etcdserver: leader changed",
  });
});

test("leases are listed", async () => {
  const member = new FakeMember();
  member.lessor.grant(7n, 60, 0);
  member.lessor.grant(8n, 30, 0);
  const reply = LeaseLeasesResponse.decode(
    (await member.call("LeaseLeases", Buffer.alloc(0))) as Buffer,
  );
  expect(reply.leases.map(({ ID }) => ID)).toEqual([8n, 7n]);
});

describe("keepalive", () => {
  test("renews at once; an unknown lease answers 0", async () => {
    const member = new FakeMember();
    member.lessor.grant(7n, 60, 0);
    const client = member.keepAlive();
    client.send(7n);
    client.send(8n);
    expect(client.call.messages).toHaveLength(2);
    expect(await client.received()).toEqual([
      [7n, 60],
      [8n, 0],
    ]);
    client.stream.onHalfClose();
    expect(client.call.status).toEqual({ code: 0, message: "" });
  });

  test("an unknown lease waits for what is committed", async () => {
    const member = new FakeMember();
    member.readable = false;
    const client = member.keepAlive();
    client.send(7n);
    expect(client.call.isPaused).toBe(true);
    member.lessor.grant(7n, 60, 0);
    expect(await client.received()).toEqual([[7n, 60]]);
    expect(client.call.isPaused).toBe(false);
  });

  test("an expired lease is answered when it is revoked", async () => {
    const member = new FakeMember();
    member.lessor.grant(7n, 10, 0);
    member.nowMs = 10_000;
    const client = member.keepAlive();
    client.send(7n);
    expect(await client.received()).toEqual([]);
    expect(client.call.isPaused).toBe(true);
    member.lessor.revoke(7n);
    expect(await client.received()).toEqual([[7n, 0]]);
    expect(client.call.isPaused).toBe(false);
  });

  test("a checkpointed remaining time is forgotten first", async () => {
    const member = new FakeMember({ checkpointIntervalMs: 1000 });
    member.lessor.grant(7n, 60, 0);
    member.lessor.checkpoint(7n, 20, 0);
    const client = member.keepAlive();
    client.send(7n);
    expect(await client.received()).toEqual([[7n, 60]]);
    expect(member.lessor.timeToLive(7n, 0, false)?.ttl).toBe(60);
  });

  test("a leader that may have been replaced asks first, and answers when it still leads", async () => {
    const member = new FakeMember();
    member.readable = false;
    member.lessor.grant(7n, 60, 0);
    const client = member.keepAlive();
    client.send(7n);
    expect(client.call.isPaused).toBe(true);
    expect(await client.received()).toEqual([[7n, 60]]);
  });

  test("ends once: nobody leads, member stops, client gone", async () => {
    const member = new FakeMember();
    member.lessor.grant(7n, 60, 0);
    member.lessor.demote();
    const client = member.keepAlive();
    client.send(7n);
    await client.received();
    const timeout = { code: 14, message: "etcdserver: request timed out" };
    expect(client.call.status).toEqual(timeout);
    const stopped = member.keepAlive();
    stopped.send(7n);
    member.service.close();
    await stopped.received();
    expect(stopped.call.status).toEqual({ code: 14, message: "etcdserver: server stopped" });
    const gone = member.keepAlive();
    gone.send(7n);
    gone.stream.onCancel();
    await gone.received();
    expect(gone.call.status).toBeUndefined();
  });
});
