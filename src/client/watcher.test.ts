import { expect, test } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import type { CallOptions } from "../rpc/grpc/types.ts";
import { type DeepPartial, type WatchRequest, WatchResponse } from "../wire/generated/rpc.ts";
import { CompactedError, PortalError } from "./errors.ts";
import { FakeStream, fakeTransport } from "./fake-transport.ts";
import { testClient } from "./test-client.ts";
import type { WatchEvent } from "./watch-event.ts";

type Stream = FakeStream<DeepPartial<WatchRequest>, WatchResponse>;

/** A server side: hands out the streams that the client opens. */
function watchServer() {
  const streams: Stream[] = [];
  let wake: (() => void) | undefined;
  const transport = fakeTransport({
    watch: {
      watch: ((options?: CallOptions) => {
        const stream: Stream = new FakeStream(options);
        streams.push(stream);
        wake?.();
        return stream.asBidi();
      }) as never,
    },
  });
  const stream = async (index: number): Promise<Stream> => {
    while (streams.length <= index) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return streams[index] as Stream;
  };
  return { transport, stream, streams };
}

const created = (watchId: number, revision: number) =>
  WatchResponse.fromPartial({ watchId, created: true, header: { revision } });

const put = (watchId: number, key: string, revision: number) =>
  WatchResponse.fromPartial({
    watchId,
    header: { revision },
    events: [
      { type: 0, kv: { key: Buffer.from(key), value: Buffer.from("v"), modRevision: revision } },
    ],
  });

const createOf = (request: DeepPartial<WatchRequest> | undefined) => {
  const union = request?.requestUnion;
  return union?.$case === "createRequest" ? union.value : undefined;
};

async function take(events: AsyncIterator<WatchEvent>, count: number): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < count) {
    const next = await events.next();
    if (next.done) break;
    seen.push(`${next.value.kv.keyText}@${next.value.revision}`);
  }
  return seen;
}

test("continues on a new stream without a gap and without a repetition", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const interruptions: unknown[] = [];
  const watcher = client.watch("a", { onInterrupted: (error) => interruptions.push(error) });
  const events = watcher[Symbol.asyncIterator]();
  const first = await server.stream(0);
  await first.written(1);
  first.respond(created(0, 10));
  await watcher.ready;
  first.respond(put(0, "a", 11));
  expect(await take(events, 1)).toEqual(["a@11"]);
  first.fail(new StatusError(Status.UNAVAILABLE, "gone"));
  const second = await server.stream(1);
  expect(createOf((await second.written(1))[0])?.startRevision).toBe(12);
  second.respond(created(0, 15));
  second.respond(put(0, "a", 11));
  second.respond(put(0, "a", 13));
  expect(await take(events, 1)).toEqual(["a@13"]);
  expect(interruptions).toHaveLength(1);
  await close();
});

test("a watch without events continues from where it was created, or from the last progress", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const watcher = client.watch({ prefix: "a" });
  const first = await server.stream(0);
  await first.written(1);
  first.respond(created(0, 10));
  await watcher.ready;
  first.respond(WatchResponse.fromPartial({ watchId: -1, header: { revision: 30 } }));
  await new Promise((resolve) => setTimeout(resolve, 1));
  first.fail(new StatusError(Status.UNAVAILABLE, "gone"));
  const second = await server.stream(1);
  expect(createOf((await second.written(1))[0])?.startRevision).toBe(31);
  watcher.cancel();
  await close();
});

test("watches share one stream and get only their own events", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const [a, b] = [client.watch("a"), client.watch("b")];
  const stream = await server.stream(0);
  await stream.written(2);
  stream.respond(created(0, 1));
  stream.respond(created(1, 1));
  stream.respond(put(1, "b", 2));
  stream.respond(put(0, "a", 3));
  expect(await take(b[Symbol.asyncIterator](), 1)).toEqual(["b@2"]);
  expect(await take(a[Symbol.asyncIterator](), 1)).toEqual(["a@3"]);
  expect(server.streams).toHaveLength(1);
  b.cancel();
  const requests = await stream.written(3);
  expect(requests[2]?.requestUnion).toEqual({ $case: "cancelRequest", value: { watchId: 1 } });
  await close();
});

test("compaction surfaces as a CompactedError, after what came before it", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const watcher = client.watch("a", { startRevision: 3 });
  const events = watcher[Symbol.asyncIterator]();
  const stream = await server.stream(0);
  await stream.written(1);
  stream.respond(created(0, 50));
  stream.respond(
    WatchResponse.fromPartial({ watchId: 0, canceled: true, compactRevision: 20, header: {} }),
  );
  const failure = await events.next().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CompactedError);
  expect(failure).toMatchObject({ reason: "compacted", compactRevision: 20 });
  await close();
});

test("a refused watch fails with the server's reason and leaves the others alone", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const refused = client.watch("secret");
  const fine = client.watch("a");
  const stream = await server.stream(0);
  await stream.written(2);
  stream.respond(
    WatchResponse.fromPartial({
      watchId: -1,
      created: true,
      canceled: true,
      cancelReason: "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    }),
  );
  stream.respond(created(0, 1));
  await expect(refused.ready).rejects.toMatchObject({ reason: "permissionDenied" });
  await fine.ready;
  await close();
});

test("a slow reader is bounded: the watch is given up and taken up again where it was", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const other = client.watch("other");
  const watcher = client.watch("a", { startRevision: 1, bufferedEventsMax: 2 });
  const stream = await server.stream(0);
  await stream.written(2);
  stream.respond(created(0, 0));
  stream.respond(created(1, 0));
  for (let revision = 1; revision <= 5; revision++) stream.respond(put(1, "a", revision));
  const requests = await stream.written(3);
  expect(requests[2]?.requestUnion).toEqual({ $case: "cancelRequest", value: { watchId: 1 } });
  const events = watcher[Symbol.asyncIterator]();
  expect(await take(events, 3)).toEqual(["a@1", "a@2", "a@3"]);
  expect(createOf((await stream.written(4))[3])?.startRevision).toBe(4);
  stream.respond(created(2, 5));
  stream.respond(put(2, "a", 4));
  expect(await take(events, 1)).toEqual(["a@4"]);
  other.cancel();
  await close();
});

test("leaving the loop ends the watch; the last one out closes the stream", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const stream = server.stream(0).then(async (opened) => {
    await opened.written(1);
    opened.respond(created(0, 1));
    opened.respond(put(0, "a", 2));
    return opened;
  });
  for await (const _ of client.watch("a")) break;
  expect((await stream).ended).toBe(true);
  await close();
});

test("an aborted signal ends the loop with its reason", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const abort = new AbortController();
  const next = client.watch("a", { signal: abort.signal })[Symbol.asyncIterator]().next();
  abort.abort(new Error("enough"));
  const failure = await next.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(PortalError);
  expect(failure).toMatchObject({ code: Status.CANCELLED, cause: { message: "enough" } });
  await close();
});

test("a final failure of the stream ends all watches", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport);
  const watcher = client.watch("a");
  const stream = await server.stream(0);
  stream.fail(new StatusError(Status.UNIMPLEMENTED, "unknown service"));
  await expect(watcher[Symbol.asyncIterator]().next()).rejects.toMatchObject({
    reason: "unimplemented",
  });
  await close();
});

test("inside a namespace, keys are without its prefix", async () => {
  const server = watchServer();
  const { client, close } = testClient(server.transport, { namespace: "app/" });
  const watcher = client.watch({ all: true });
  const stream = await server.stream(0);
  const request = createOf((await stream.written(1))[0]);
  expect(Buffer.from(request?.key as Uint8Array).toString()).toBe("app/");
  expect(Buffer.from(request?.rangeEnd as Uint8Array).toString()).toBe("app0");
  stream.respond(created(0, 1));
  stream.respond(put(0, "app/x", 2));
  expect(await take(watcher[Symbol.asyncIterator](), 1)).toEqual(["x@2"]);
  await close();
});
