import { expect, test } from "vitest";
import { MemoryConnection } from "../../io/network-memory.ts";
import { ClientSession } from "./client-session.ts";
import { Flag, FrameType } from "./frames.ts";
import {
  makeFrame,
  RawPeer,
  Recorder,
  replyAtEnd,
  requestHeaders,
  uint32,
} from "./session-testing.ts";

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

/** A conversation under way: what the next sensible frames are. */
interface Talk {
  readonly random: Random;
  readonly peer: RawPeer;
  /** One frame in so many is nonsense. */
  readonly calmness: number;
  nextId: number;
}

function sensibleFrame(talk: Talk): Buffer {
  const { random, peer } = talk;
  const someId = 1 + 2 * random(Math.max(1, (talk.nextId - 1) / 2));
  const kind = random(10);
  if (kind < 4 || talk.nextId === 1) {
    const block = peer.encoder.encode(random(6) > 0 ? requestHeaders : someHeaders(random));
    const fields = block.bytes.subarray(0, block.length);
    const id = talk.nextId;
    talk.nextId += 2;
    return makeFrame(FrameType.HEADERS, Flag.END_HEADERS | random(2), id, fields);
  }
  if (kind < 6) return makeFrame(FrameType.DATA, 0, someId, Buffer.alloc(random(600), "d"));
  if (kind === 6) return makeFrame(FrameType.WINDOW_UPDATE, 0, someId, uint32(1 + random(90_000)));
  if (kind === 7) return makeFrame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1 + random(90_000)));
  if (kind === 8) return makeFrame(FrameType.RST_STREAM, 0, someId, uint32(random(14)));
  const setting = Buffer.concat([Buffer.from([0, [1, 4, 6, 99][random(4)] as number]), uint32(0)]);
  setting.writeUInt32BE([0, 10, 65_535, 1 << 20][random(4)] as number, 2);
  const settings = makeFrame(FrameType.SETTINGS, 0, 0, setting);
  const frames = [settings, makeFrame(FrameType.PING, 0, 0, Buffer.alloc(8, random(256)))];
  frames.push(makeFrame(FrameType.PRIORITY, 0, someId, uint32(0x80000000 + someId + 2)));
  return frames[random(2)] as Buffer;
}

function oddFrame(talk: Talk): Buffer {
  const { random, peer } = talk;
  const streamId = [0, 1, 3, talk.nextId, talk.nextId + 2, 2, 101, 0x7fffffff][random(8)] as number;
  const kind = random(9);
  if (kind < 3) {
    const block = peer.encoder.encode(someHeaders(random));
    const fields = block.bytes.subarray(0, block.length);
    return makeFrame(FrameType.HEADERS, random(256), streamId, fields);
  }
  if (kind === 3) return makeFrame(FrameType.DATA, random(256), streamId, noise(random, 300));
  if (kind < 6) return makeFrame(random(12), random(256), streamId, noise(random, 40));
  if (kind === 6)
    return makeFrame(FrameType.WINDOW_UPDATE, 0, streamId, uint32(random(2) * 0x7fffffff));
  if (kind === 7) {
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(random(8), 0);
    setting.writeUInt32BE([0, 1, 65_535, 0xffffffff, 16_384][random(5)] as number, 2);
    return makeFrame(FrameType.SETTINGS, random(2), 0, setting);
  }
  return noise(random, 60);
}

function someFrame(talk: Talk): Buffer {
  if (talk.random(talk.calmness) > 0) return sensibleFrame(talk);
  return mutate(talk.random, oddFrame(talk));
}

function mutate(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length === 0 || random(3) > 0) return copy;
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
    const talk: Talk = { random, peer, calmness: 1 + random(60), nextId: 1 };
    const frames = Array.from({ length: 5 + random(80) }, () => someFrame(talk));
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
    const talk: Talk = { random, peer, calmness: 1 + random(60), nextId: 11 };
    for (let i = random(40); i > 0; i--) {
      const id = 1 + 2 * random(5);
      const flags = Flag.END_HEADERS | random(2);
      const useful =
        random(3) > 0
          ? makeFrame(FrameType.HEADERS, flags, id, fields)
          : makeFrame(FrameType.DATA, random(2), id, noise(random, 300));
      frames.push(random(talk.calmness) > 0 ? useful : mutate(random, oddFrame(talk)));
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
