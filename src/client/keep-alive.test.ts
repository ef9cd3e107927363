import { expect, test } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { CallOptions } from "../rpc/grpc/types.ts";
import {
  type DeepPartial,
  LeaseGrantResponse,
  type LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseRevokeResponse,
} from "../wire/generated/rpc.ts";
import { LeaseLostError } from "./errors.ts";
import { FakeStream, fakeTransport } from "./fake-transport.ts";
import { testClient } from "./test-client.ts";

type Stream = FakeStream<DeepPartial<LeaseKeepAliveRequest>, LeaseKeepAliveResponse>;

/** Time that passes only when told to. */
class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();
  now = () => this.#now;
  wallNow = () => this.#now;
  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }
  /** Lets `ms` pass, timer by timer, and what they set off. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      next.callback();
    }
    this.#now = end;
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

function leaseServer(ttl = 9) {
  const clock = new ManualClock();
  const streams: Stream[] = [];
  const revoked: unknown[] = [];
  let nextId = 1n;
  const transport = fakeTransport({
    lease: {
      leaseGrant: async () => LeaseGrantResponse.fromPartial({ ID: nextId++, TTL: ttl }),
      leaseRevoke: async ({ ID }) => {
        revoked.push(ID);
        return LeaseRevokeResponse.fromPartial({});
      },
      leaseKeepAlive: ((options?: CallOptions) => {
        const stream: Stream = new FakeStream(options);
        streams.push(stream);
        return stream.asBidi();
      }) as never,
    },
  });
  return { clock, streams, revoked, ...testClient(transport, { clock }) };
}

const renewed = (ID: bigint, TTL: number) => LeaseKeepAliveResponse.fromPartial({ ID, TTL });

test("renews every third of the TTL, all leases on one stream", async () => {
  const { client, clock, streams, close } = leaseServer(9);
  const [one, two] = [await client.lease(9), await client.lease(9)];
  for (let round = 1; round <= 5; round++) {
    await clock.advance(3_000);
    expect(streams[0]?.requests).toHaveLength(2 * round);
    streams[0]?.respond(renewed(one.id, 9));
    streams[0]?.respond(renewed(two.id, 9));
    await settle();
  }
  expect(streams).toHaveLength(1);
  expect(one.held && two.held).toBe(true);
  await close();
});

test("is lost when the server says so, and its signal aborts", async () => {
  const { client, clock, streams, close } = leaseServer(9);
  const lease = await client.lease(9);
  await clock.advance(3_000);
  streams[0]?.respond(renewed(lease.id, 0));
  expect(await lease.lost).toBeInstanceOf(LeaseLostError);
  expect(lease.signal.reason).toMatchObject({ reason: "leaseLost", leaseId: lease.id });
  expect(lease.held).toBe(false);
  await close();
});

test("is lost when it could not be renewed within its TTL", async () => {
  const { client, clock, close } = leaseServer(9);
  const lease = await client.lease(9);
  await clock.advance(8_999);
  expect(lease.held).toBe(true);
  await clock.advance(2);
  expect((await lease.lost).message).toContain("in time");
  await close();
});

test("goes on with a new stream when the stream breaks", async () => {
  const { client, clock, streams, close } = leaseServer(9);
  const lease = await client.lease(9);
  await clock.advance(3_000);
  streams[0]?.fail(new StatusError(Status.UNAVAILABLE, "gone"));
  await clock.advance(100);
  expect(streams).toHaveLength(2);
  expect(streams[1]?.requests).toEqual([{ ID: lease.id }]);
  streams[1]?.respond(renewed(lease.id, 9));
  await clock.advance(8_000);
  expect(lease.held).toBe(true);
  await close();
});

test("leaving its scope revokes it, and nothing is renewed any more", async () => {
  const { client, clock, streams, revoked, close } = leaseServer(9);
  {
    await using lease = await client.lease(9);
    expect(lease.id).toBe(1n);
  }
  expect(revoked).toEqual([1n]);
  await clock.advance(20_000);
  expect(streams.flatMap((stream) => stream.requests)).toEqual([]);
  await close();
});
