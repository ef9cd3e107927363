import { expect, test } from "vitest";
import { Flag, FrameType } from "./frames.ts";
import { makeFrame, RawPeer, replyAtEnd, uint32 } from "./session-testing.ts";
import { ErrorCode, type Http2Stream } from "./types.ts";

const CALM = ErrorCode.ENHANCE_YOUR_CALM;
const NOTHING = Buffer.alloc(0);

/** Sends `count` copies of what `make` gives, in chunks, until the server has had enough. */
async function flood(peer: RawPeer, count: number, make: (i: number) => Buffer): Promise<void> {
  for (let i = 0; i < count && peer.goAwayCode < 0; i += 1_000) {
    const frames: Buffer[] = [];
    for (let j = i; j < Math.min(count, i + 1_000); j++) frames.push(make(j));
    peer.raw(Buffer.concat(frames));
    await peer.settle();
  }
  await peer.settle();
}

test.each([
  ["SETTINGS", 1_000, () => makeFrame(FrameType.SETTINGS, 0, 0, NOTHING)],
  ["PING", 100_000, () => makeFrame(FrameType.PING, 0, 0, Buffer.alloc(8))],
  ["PRIORITY", 10_000, () => makeFrame(FrameType.PRIORITY, 0, 1, Buffer.alloc(5))],
  ["unknown frames", 10_000, () => makeFrame(77, 0, 0, NOTHING)],
  ["WINDOW_UPDATE", 100_000, () => makeFrame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1))],
])("a flood of %s ends with ENHANCE_YOUR_CALM", async (_name, count, make) => {
  const peer = new RawPeer();
  await flood(peer, count, make);
  expect(peer.goAwayCode).toBe(CALM);
  expect(peer.closed).toBe(true);
  expect(peer.session.bufferedBytes).toBe(0);
});

test("a flood of empty DATA ends with ENHANCE_YOUR_CALM, padded or not", async () => {
  for (const [flags, payload] of [
    [0, NOTHING],
    [Flag.PADDED, Buffer.from([3, 0, 0, 0])],
  ] as const) {
    const peer = new RawPeer();
    peer.request(1, false);
    await flood(peer, 5_000, () => makeFrame(FrameType.DATA, flags, 1, payload));
    expect(peer.goAwayCode).toBe(CALM);
  }
});

test("rapid reset: requests that are reset at once end with ENHANCE_YOUR_CALM", async () => {
  let open = 0;
  const peer = new RawPeer({
    onStream: (stream) => {
      open++;
      const recorder = replyAtEnd(stream);
      recorder.onEnded = () => open--;
      return recorder;
    },
  });
  peer.request(1, false);
  const block = peer.encoder.encode([":method", "POST", ":scheme", "http", ":path", "/"]);
  const bytes = Buffer.from(block.bytes.subarray(0, block.length));
  await flood(peer, 20_000, (i) => {
    const id = 3 + i * 2;
    return Buffer.concat([
      makeFrame(FrameType.HEADERS, Flag.END_HEADERS, id, bytes),
      makeFrame(FrameType.RST_STREAM, 0, id, uint32(ErrorCode.CANCEL)),
    ]);
  });
  expect(peer.goAwayCode).toBe(CALM);
  expect(open).toBe(0);
});

test("MadeYouReset: resets that the peer provokes count as its own", async () => {
  const peer = new RawPeer();
  const block = peer.encoder.encode([":method", "POST", ":scheme", "http", ":path", "/"]);
  const bytes = Buffer.from(block.bytes.subarray(0, block.length));
  await flood(peer, 20_000, (i) => {
    const id = 1 + i * 2;
    return Buffer.concat([
      makeFrame(FrameType.HEADERS, Flag.END_HEADERS, id, bytes),
      makeFrame(FrameType.WINDOW_UPDATE, 0, id, uint32(0)),
    ]);
  });
  expect(peer.goAwayCode).toBe(CALM);
});

test("requests that are answered earn the right to as many resets", async () => {
  const peer = new RawPeer({ http2: { resetsPerSecondMax: 10 } });
  for (let i = 0; i < 100; i++) peer.request(1 + i * 2, true);
  for (let i = 100; i < 200; i++) {
    peer.request(1 + i * 2, false);
    peer.frame(FrameType.RST_STREAM, 0, 1 + i * 2, uint32(ErrorCode.CANCEL));
  }
  await peer.settle();
  expect(peer.goAwayCode).toBe(-1);
});

test("CONTINUATION flood: too many frames, or too many bytes", async () => {
  for (const [count, bytes] of [
    [200, 0],
    [40, 16_384],
  ] as const) {
    const peer = new RawPeer();
    peer.frame(FrameType.HEADERS, 0, 1, NOTHING);
    for (let i = 0; i < count; i++) {
      peer.frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(bytes));
    }
    await peer.settle();
    expect(peer.goAwayCode).toBe(CALM);
  }
});

test("HPACK bomb: a block that expands to megabytes ends the connection", async () => {
  const peer = new RawPeer();
  peer.request(1, true, ["x", "y".repeat(400)]);
  const bomb = Buffer.alloc(16_000, 0xbe);
  peer.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, 3, bomb);
  await peer.settle();
  expect(peer.goAwayCode).toBe(CALM);
});

test("a header list over the limit is answered 431, and the connection lives", async () => {
  const peer = new RawPeer({ http2: { headerListBytesMax: 1_000 } });
  const path = [":method", "POST", ":scheme", "http", ":path", "/"];
  peer.request(1, true, [...path, "x", "y".repeat(1_500)]);
  peer.request(3, true);
  await peer.settle();
  expect(peer.goAwayCode).toBe(-1);
  expect(peer.ofType(FrameType.HEADERS).map((frame) => frame.streamId)).toEqual([1, 3, 3]);
});

test("PINGs whose answers are not read stop being read, and then the connection is cut", async () => {
  const peer = new RawPeer({ capacityBytes: 1_000, http2: { pingsPerSecondMax: 1e9 } });
  peer.connection.pause();
  const pings = Buffer.concat(
    Array.from({ length: 4_000 }, () => makeFrame(FrameType.PING, 0, 0, Buffer.alloc(8))),
  );
  for (let i = 0; i < 100; i++) {
    peer.raw(pings);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(peer.session.bufferedBytes).toBeLessThan(2 << 20);
  peer.clock.advance(62_000);
  await peer.settle();
  expect(peer.session.closed).toBe(true);
});

test("slow readers: over the bytes limit new streams are refused and stalled ones reset", async () => {
  const big = Buffer.alloc(1 << 20);
  const streams: Http2Stream[] = [];
  const peer = new RawPeer({
    http2: { sessionBytesMax: 3 << 20 },
    onStream: (stream) => {
      streams.push(stream);
      return replyAtEnd(stream, big);
    },
  });
  for (let i = 0; i < 10; i++) {
    peer.request(1 + 2 * i, true);
    await peer.settle();
  }
  const refused = peer.ofType(FrameType.RST_STREAM);
  expect(streams.length).toBe(4);
  expect(refused.length).toBe(6);
  expect(peer.session.bufferedBytes).toBeLessThan(5 << 20);
  peer.clock.advance(15_000);
  await peer.settle();
  expect(peer.session.bufferedBytes).toBe(0);
  expect(peer.session.closed).toBe(false);
});

test("a window opened byte by byte ends with ENHANCE_YOUR_CALM", async () => {
  const peer = new RawPeer({ onStream: (stream) => replyAtEnd(stream, Buffer.alloc(1 << 20)) });
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(4, 0);
  peer.frame(FrameType.SETTINGS, 0, 0, settings);
  peer.request(1, true);
  await flood(peer, 60_000, () => makeFrame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1)));
  expect(peer.goAwayCode).toBe(CALM);
});

test("a preface, SETTINGS or header block that never comes is given up", async () => {
  const silent = new RawPeer({ greet: false });
  silent.clock.advance(12_000);
  await silent.settle();
  expect(silent.session.closed).toBe(true);
  const half = new RawPeer();
  half.frame(FrameType.HEADERS, 0, 1, Buffer.from([0x82]));
  await half.settle();
  half.clock.advance(5_000);
  expect(half.session.closed).toBe(false);
  half.clock.advance(12_000);
  await half.settle();
  expect(half.goAwayCode).toBe(CALM);
});
