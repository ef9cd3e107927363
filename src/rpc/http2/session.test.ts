import { expect, test } from "vitest";
import { MemoryConnection } from "../../io/network-memory.ts";
import { ClientSession } from "./client-session.ts";
import { Flag, FrameType, readUint32 } from "./frames.ts";
import { ServerSession } from "./server-session.ts";
import {
  grpcHeaders,
  grpcTrailers,
  RawPeer,
  Recorder,
  replyAtEnd,
  requestHeaders,
  uint32,
} from "./session-testing.ts";
import {
  type ClientHandler,
  ErrorCode,
  type HeaderList,
  type Http2Options,
  type Http2Stream,
  type StreamReceiver,
} from "./types.ts";

interface Options {
  readonly client?: Http2Options;
  readonly server?: Http2Options;
  readonly handler?: ClientHandler;
  readonly capacityBytes?: number;
  readonly onStream?: (stream: Http2Stream, headers: HeaderList) => StreamReceiver;
}

async function connected(options: Options = {}) {
  const [left, right] = MemoryConnection.pair(options.capacityBytes);
  const onStream = options.onStream ?? ((stream) => replyAtEnd(stream));
  const server = new ServerSession(
    right,
    {
      onStream(stream, headers, endStream) {
        const receiver = onStream(stream, headers);
        if (endStream) receiver.onData(Buffer.alloc(0), 0, 0, true);
        return receiver;
      },
    },
    options.server,
  );
  const client = new ClientSession(left, options.handler ?? {}, options.client);
  await settle();
  return { client, server };
}

async function settle(turns = 30): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for the end of a stream's input. */
async function ended(recorder: Recorder): Promise<void> {
  if (recorder.ended || recorder.resetCode >= 0) return;
  await new Promise<void>((resolve) => {
    recorder.onEnded = resolve;
  });
}

test("a unary call, many times over, costs little header", async () => {
  const { client, server } = await connected();
  for (let i = 0; i < 50; i++) {
    const recorder = new Recorder();
    const stream = client.request(requestHeaders, false, recorder);
    stream.sendMessage(Buffer.from("hello"), 0, 5, true);
    await ended(recorder);
    expect(recorder.headers).toEqual(grpcHeaders.list);
    expect(recorder.body).toBe("\0\0\0\0\x02ok");
    expect(recorder.trailers).toEqual(grpcTrailers.list);
  }
  expect(client.activeStreams + server.activeStreams).toBe(0);
  expect(client.bufferedBytes + server.bufferedBytes).toBe(0);
});

test("a large message both ways passes windows and a slow socket", async () => {
  const bytes = 5_000_000;
  const big = Buffer.alloc(bytes, "x");
  const { client } = await connected({
    capacityBytes: 30_000,
    client: { streamWindowBytes: 100_000, connectionWindowBytes: 150_000 },
    server: { streamWindowBytes: 70_000, connectionWindowBytes: 80_000 },
    onStream: (stream) => {
      const recorder = replyAtEnd(stream, big);
      const onData = recorder.onData.bind(recorder);
      recorder.onData = (source, start, end, endStream) => {
        onData(source, start, end, endStream);
        stream.consume(end - start);
      };
      return recorder;
    },
  });
  const recorders = [1, 2, 3].map(() => {
    const recorder = new Recorder();
    const stream = client.request(requestHeaders, false, recorder);
    const onData = recorder.onData.bind(recorder);
    recorder.onData = (source, start, end, endStream) => {
      onData(source, start, end, endStream);
      stream.consume(end - start);
    };
    stream.sendData(big, 0, bytes, true);
    expect(stream.bufferedBytes).toBeGreaterThan(0);
    return { recorder, stream };
  });
  for (const { recorder, stream } of recorders) {
    await ended(recorder);
    expect(recorder.bytes).toBe(bytes + 5);
    expect(recorder.resetCode).toBe(-1);
    expect(recorder.writable).toBe(1);
    expect(stream.bufferedBytes).toBe(0);
  }
});

test("without consume the sender stops at the window", async () => {
  const server = new Recorder();
  const { client } = await connected({
    server: { streamWindowBytes: 65_535 },
    onStream: () => server,
  });
  const stream = client.request(requestHeaders, false, new Recorder());
  stream.sendData(Buffer.alloc(200_000), 0, 200_000, true);
  await settle();
  expect(server.bytes).toBe(65_535);
  expect(stream.bufferedBytes).toBe(200_000 - 65_535);
});

test("requests over the server's limit wait, and those waiting can be dropped", async () => {
  const held: Http2Stream[] = [];
  const { client } = await connected({
    server: { maxConcurrentStreams: 2 },
    client: { pendingStreamsMax: 3 },
    onStream: (stream) => {
      held.push(stream);
      return new Recorder();
    },
  });
  const calls = Array.from({ length: 6 }, () => {
    const recorder = new Recorder();
    return { recorder, stream: client.request(requestHeaders, true, recorder) };
  });
  await settle();
  expect(held.length).toBe(2);
  expect(calls[5]?.recorder.resetCode).toBe(ErrorCode.REFUSED_STREAM);
  calls[2]?.stream.reset(ErrorCode.CANCEL);
  held[0]?.sendHeaders([":status", "200"], true);
  held[1]?.reset(ErrorCode.CANCEL);
  await settle();
  expect(calls[0]?.recorder.ended).toBe(true);
  expect(calls[1]?.recorder.resetCode).toBe(ErrorCode.CANCEL);
  expect(held.length).toBe(4);
  expect(calls[2]?.stream.id).toBe(0);
});

test("reset reaches the other side, and late frames are ignored", async () => {
  const seen = new Recorder();
  const { client, server } = await connected({ onStream: () => seen });
  const stream = client.request(requestHeaders, false, new Recorder());
  stream.sendData(Buffer.from("abc"), 0, 3, false);
  await settle();
  stream.reset(ErrorCode.CANCEL);
  stream.sendData(Buffer.from("late"), 0, 4, true);
  await settle();
  expect(seen.resetCode).toBe(ErrorCode.CANCEL);
  expect(seen.body).toBe("abc");
  expect(server.activeStreams + client.activeStreams).toBe(0);
  expect(client.closed || server.closed).toBe(false);
});

test("a reply before the end of the request stops the request", async () => {
  const { client, server } = await connected({
    onStream: (stream) => {
      const recorder = new Recorder();
      recorder.onData = () => stream.sendHeaders([":status", "200", "grpc-status", "12"], true);
      return recorder;
    },
  });
  const recorder = new Recorder();
  const stream = client.request(requestHeaders, false, recorder);
  stream.sendData(Buffer.from("abc"), 0, 3, false);
  await settle();
  expect(recorder.headers).toEqual([":status", "200", "grpc-status", "12"]);
  expect(recorder.ended).toBe(true);
  expect(server.activeStreams + client.activeStreams).toBe(0);
});

test("PING measures a round trip and rejects when the session ends", async () => {
  const { client, server } = await connected();
  expect(await client.ping()).toBeGreaterThanOrEqual(0);
  const lost = server.ping();
  server.destroy();
  await expect(lost).rejects.toThrow();
});

test("graceful shutdown finishes what is open, refuses what is new, then closes", async () => {
  let goAways = 0;
  let held: Http2Stream | undefined;
  const { client, server } = await connected({
    handler: { onGoAway: () => void goAways++ },
    onStream: (stream) => {
      held = stream;
      return new Recorder();
    },
  });
  const open = new Recorder();
  client.request(requestHeaders, true, open);
  await settle();
  const done = server.shutdown(10_000);
  await settle();
  expect(goAways).toBe(2);
  expect(client.draining).toBe(true);
  const late = new Recorder();
  client.request(requestHeaders, true, late);
  await settle();
  expect(late.resetCode).toBe(ErrorCode.REFUSED_STREAM);
  expect(server.closed).toBe(false);
  held?.sendUnary(grpcHeaders, Buffer.from("ok"), 0, 2, grpcTrailers);
  await done;
  await client.whenClosed;
  expect(open.ended).toBe(true);
});

test("shutdown cuts what does not finish in time", async () => {
  const { client, server } = await connected({ onStream: () => new Recorder() });
  const stuck = new Recorder();
  client.request(requestHeaders, true, stuck);
  await settle();
  await server.shutdown(20);
  await client.whenClosed;
  expect(stuck.resetCode).toBe(ErrorCode.CANCEL);
});

test("a lost connection resets every stream once, and the session is closed by then", async () => {
  const { client, server } = await connected({ onStream: () => new Recorder() });
  const recorders = [new Recorder(), new Recorder()];
  const states: boolean[] = [];
  for (const recorder of recorders) {
    recorder.onEnded = () => states.push(client.closed);
    client.request(requestHeaders, true, recorder);
  }
  await settle();
  server.destroy();
  await client.whenClosed;
  expect(states).toEqual([true, true]);
});

test("a handler that throws ends its session only", async () => {
  const { client, server } = await connected({
    onStream: () => {
      throw new TypeError("bug");
    },
  });
  const recorder = new Recorder();
  client.request(requestHeaders, true, recorder);
  await ended(recorder);
  expect(server.closed).toBe(true);
});

test("identical requests are delivered with the identical header list", async () => {
  const lists: HeaderList[] = [];
  const { client } = await connected({
    onStream: (stream, headers) => {
      lists.push(headers);
      return replyAtEnd(stream);
    },
  });
  for (let i = 0; i < 4; i++) client.request(requestHeaders, true, new Recorder());
  await settle();
  expect(lists[0]).toEqual(requestHeaders);
  expect(lists[3]).toBe(lists[2]);
});

test("request trailers, padding and PRIORITY fields are understood", async () => {
  const seen = new Recorder();
  const peer = new RawPeer({ onStream: () => seen });
  const block = peer.encoder.encode(requestHeaders);
  const fields = block.bytes.subarray(0, block.length);
  const head = Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 16]), fields, Buffer.alloc(2)]);
  const flags = Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY;
  peer.frame(FrameType.HEADERS, flags, 1, head);
  peer.frame(FrameType.DATA, Flag.PADDED, 1, Buffer.from("\x03abc\0\0\0", "latin1"));
  const trailers = peer.encoder.encode(["x-checksum", "7"]);
  peer.frame(
    FrameType.HEADERS,
    Flag.END_HEADERS | Flag.END_STREAM,
    1,
    trailers.bytes.subarray(0, trailers.length),
  );
  await peer.settle();
  expect(seen.body).toBe("abc");
  expect(seen.trailers).toEqual(["x-checksum", "7"]);
  expect(peer.goAwayCode).toBe(-1);
});

test("bytes that come one at a time mean the same", async () => {
  const peer = new RawPeer();
  const whole = new RawPeer();
  for (const target of [peer, whole]) {
    const block = target.encoder.encode(requestHeaders);
    const fields = Buffer.from(block.bytes.subarray(0, block.length));
    const bytes: Buffer[] = [];
    const record = { raw: (chunk: Uint8Array) => void bytes.push(Buffer.from(chunk)) };
    const frame = RawPeer.prototype.frame.bind(record as unknown as RawPeer);
    frame(FrameType.HEADERS, 0, 1, fields.subarray(0, 3));
    frame(FrameType.CONTINUATION, Flag.END_HEADERS, 1, fields.subarray(3));
    frame(FrameType.DATA, 0, 1, Buffer.from("some data"));
    frame(FrameType.DATA, Flag.END_STREAM | Flag.PADDED, 1, Buffer.from([1, 65, 0]));
    frame(FrameType.PING, 0, 0, Buffer.alloc(8, 1));
    const all = Buffer.concat(bytes);
    if (target === whole) target.raw(all);
    else for (const byte of all) target.raw(Buffer.from([byte]));
    await target.settle();
  }
  expect(peer.goAwayCode).toBe(-1);
  expect(peer.frames).toEqual(whole.frames);
  expect(peer.ofType(FrameType.HEADERS).length).toBe(2);
});

test("INITIAL_WINDOW_SIZE in mid-connection moves the windows of open streams", async () => {
  const peer = new RawPeer({ onStream: (stream) => replyAtEnd(stream, Buffer.alloc(95)) });
  const settings = (bytes: number): Buffer => Buffer.concat([Buffer.from([0, 4]), uint32(bytes)]);
  const sent = (): number =>
    peer.ofType(FrameType.DATA).reduce((sum, frame) => sum + frame.payload.length, 0);
  peer.frame(FrameType.SETTINGS, 0, 0, settings(30));
  peer.request(1, true);
  await peer.settle();
  expect(sent()).toBe(30);
  peer.frame(FrameType.SETTINGS, 0, 0, settings(10));
  peer.frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(15));
  await peer.settle();
  expect(sent()).toBe(30);
  peer.frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(10));
  await peer.settle();
  expect(sent()).toBe(35);
  peer.frame(FrameType.SETTINGS, 0, 0, settings(1_000));
  await peer.settle();
  expect(sent()).toBe(100);
  const last = peer.frames.at(-1);
  expect(last?.type).toBe(FrameType.HEADERS);
});

test("a GET whose stream the server refused while draining can be repeated elsewhere", async () => {
  const peer = new RawPeer({ onStream: () => new Recorder() });
  peer.request(1, true);
  await peer.settle();
  peer.session.goAway(ErrorCode.NO_ERROR);
  peer.request(3, true);
  await peer.settle();
  const reset = peer.ofType(FrameType.RST_STREAM)[0];
  expect(reset?.streamId).toBe(3);
  expect(readUint32(reset?.payload as Buffer, 0)).toBe(ErrorCode.REFUSED_STREAM);
  expect(peer.closed).toBe(false);
});

test("a client that gives up thousands of calls at once keeps its connection", async () => {
  const held: Http2Stream[] = [];
  const { client, server } = await connected({
    onStream: (stream) => {
      held.push(stream);
      return new Recorder();
    },
  });
  const streams = Array.from({ length: 4_000 }, () =>
    client.request(requestHeaders, true, new Recorder()),
  );
  await settle();
  expect(held.length).toBe(4_000);
  // The replies cross the resets.
  for (const stream of held) stream.sendUnary(grpcHeaders, Buffer.from("ok"), 0, 2, grpcTrailers);
  for (const stream of streams) stream.reset(ErrorCode.CANCEL);
  await settle();
  expect(client.closed || server.closed).toBe(false);
  expect(client.activeStreams + server.activeStreams).toBe(0);
  const after = new Recorder();
  client.request(requestHeaders, true, after);
  await settle();
  held.at(-1)?.sendUnary(grpcHeaders, Buffer.from("ok"), 0, 2, grpcTrailers);
  await settle();
  expect(after.ended).toBe(true);
});
