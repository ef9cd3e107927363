import { expect, test } from "vitest";
import { MemoryConnection } from "../../io/network-memory.ts";
import { ClientSession } from "./client-session.ts";
import { Flag, FrameType } from "./frames.ts";
import { makeFrame, RawPeer, Recorder, replyAtEnd, requestHeaders } from "./session-testing.ts";

// Broken input from a seed: valid conversations with bytes flipped, cut, repeated, and frames made of
// noise. Nothing may throw, nothing may grow without bound, and a session always ends in a clean state.

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Random = (below: number) => number;

function noise(random: Random, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(random(bytesMax + 1));
  for (let i = 0; i < bytes.length; i++) bytes[i] = random(256);
  return bytes;
}

function someHeaders(random: Random): string[] {
  const list = [...requestHeaders];
  const names = ["te", "Connection", "content-length", ":path", "x y", "", "grpc-timeout", ":x"];
  for (let i = random(4); i > 0; i--) {
    const at = random(list.length / 2 + 1) * 2;
    const value = ["", "5", "trailers", "\0", "1S", "x".repeat(random(2_000))][random(6)] as string;
    list.splice(at, random(3) === 0 ? 2 : 0, names[random(names.length)] as string, value);
  }
  return list;
}

/** One frame: sensible, odd, or noise. */
function someFrame(random: Random, peer: RawPeer): Buffer {
  const streamId = [0, 1, 3, 5, 7, 9, 11, 2, 101, 0x7fffffff][random(10)] as number;
  const kind = random(12);
  if (kind < 3) {
    const block = peer.encoder.encode(random(2) === 0 ? requestHeaders : someHeaders(random));
    const fields = block.bytes.subarray(0, block.length);
    const flags = random(8) === 0 ? random(256) : Flag.END_HEADERS | random(2);
    return makeFrame(FrameType.HEADERS, flags, streamId, fields);
  }
  if (kind < 5) return makeFrame(FrameType.DATA, random(2), streamId, noise(random, 300));
  if (kind < 7) {
    const type = random(12);
    return makeFrame(type, random(256), streamId, noise(random, 40));
  }
  if (kind === 7) return makeFrame(FrameType.WINDOW_UPDATE, 0, streamId, noise(random, 5));
  if (kind === 8) {
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(random(8), 0);
    setting.writeUInt32BE([0, 1, 65_535, 0x7fffffff, 16_384][random(5)] as number, 2);
    return makeFrame(FrameType.SETTINGS, random(2), 0, setting);
  }
  if (kind === 9) return makeFrame(FrameType.PING, random(2), 0, noise(random, 8));
  if (kind === 10) return makeFrame(FrameType.RST_STREAM, 0, streamId, Buffer.alloc(4, random(9)));
  return noise(random, 60);
}

function mutate(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0 || random(4) > 0) return copy;
  if (random(2) === 0) copy[random(copy.length)] = random(256);
  return random(4) === 0 ? copy.subarray(0, random(copy.length)) : copy;
}

test("a server survives 600 broken conversations", async () => {
  for (let seed = 1; seed <= 600; seed++) {
    const random = randomOf(seed);
    const peer = new RawPeer({
      greet: seed % 20 !== 0,
      capacityBytes: 1 + random(5_000),
      onStream: (stream) => replyAtEnd(stream, Buffer.alloc(random(40_000))),
    });
    const frames = Array.from({ length: 5 + random(40) }, () =>
      mutate(random, someFrame(random, peer)),
    );
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; ) {
      const to = at + 1 + random(400);
      peer.raw(bytes.subarray(at, to));
      at = to;
      if (random(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.settle();
    expect(peer.session.bufferedBytes, `seed ${seed}`).toBeLessThan(10 << 20);
    peer.connection.destroy();
    await peer.settle();
    expect(peer.session.closed, `seed ${seed}`).toBe(true);
    expect(peer.session.activeStreams, `seed ${seed}`).toBe(0);
    expect(peer.host.totalBytes, `seed ${seed}`).toBe(0);
  }
});

test("a client survives 300 broken servers", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = randomOf(seed * 7_919);
    const [left, right] = MemoryConnection.pair();
    const client = new ClientSession(left, {});
    const recorders = Array.from({ length: 5 }, () => new Recorder());
    for (const recorder of recorders) {
      client.request(requestHeaders, true, recorder);
    }
    const peer = new RawPeer();
    const response = peer.encoder.encode([":status", "200", "content-type", "application/grpc"]);
    const fields = Buffer.from(response.bytes.subarray(0, response.length));
    const frames = [makeFrame(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))];
    for (let i = random(30); i > 0; i--) {
      const id = 1 + 2 * random(6);
      const useful = makeFrame(FrameType.HEADERS, Flag.END_HEADERS | random(2), id, fields);
      frames.push(mutate(random, random(2) === 0 ? useful : someFrame(random, peer)));
    }
    right.write(Buffer.concat(frames));
    await peer.settle();
    right.destroy();
    await client.whenClosed;
    for (const recorder of recorders) {
      expect(recorder.ended || recorder.resetCode >= 0, `seed ${seed}`).toBe(true);
    }
    expect(client.activeStreams, `seed ${seed}`).toBe(0);
  }
});
