// Seeded fuzzing of both ends: broken headers, framing, compression and protobuf. Every call must end,
// nothing may be thrown into the void, and no partly received message may stay accounted for. A
// failure prints its seed: run it again with FUZZ_SEED=<seed>.

import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HealthDefinition } from "../../wire/generated/health.ts";
import { connect } from "../http2/connect.ts";
import { type Listener, listen } from "../http2/listener.ts";
import type { ClientHttp2Session, StreamReceiver } from "../http2/types.ts";
import { Channel } from "./channel.ts";
import { createClient } from "./client.ts";
import { HealthService } from "./health.ts";
import { RpcError } from "./rpc-error.ts";
import { GrpcServer } from "./server.ts";

const seed = Number(process.env.FUZZ_SEED ?? 20_261_121);
const callsPerTest = 400;

/** mulberry32: small, and the same everywhere. */
class Chance {
  #state: number;

  constructor(state: number) {
    this.#state = state;
  }

  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value;
  }

  bytes(lengthMax: number): Buffer {
    const bytes = Buffer.alloc(this.below(lengthMax + 1));
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.below(256);
    return bytes;
  }

  text(): string {
    return this.bytes(12)
      .toString("latin1")
      .replaceAll(/[^!-~]/g, "x");
  }
}

const goodRequest = Buffer.from("0a06706f7274616c", "hex");

/** A body that is nearly right, or not at all. */
function body(chance: Chance): Buffer {
  const frame = (flag: number, payload: Buffer, length = payload.length) => {
    const head = Buffer.alloc(5);
    head[0] = flag;
    head.writeUInt32BE(length >>> 0, 1);
    return Buffer.concat([head, payload]);
  };
  const broken = Buffer.from(goodRequest);
  broken[chance.below(broken.length)] = chance.below(256);
  switch (chance.below(9)) {
    case 0:
      return chance.bytes(300);
    case 1:
      return frame(0, goodRequest, chance.pick([0, 3, 9, 100, 0x7fffffff, 0xffffffff]));
    case 2:
      return frame(chance.below(256), goodRequest);
    case 3:
      return frame(0, broken);
    case 4:
      return frame(1, gzipSync(broken));
    case 5:
      return frame(1, chance.bytes(60));
    case 6:
      return frame(1, gzipSync(Buffer.alloc(300_000)));
    case 7:
      return Buffer.concat([frame(0, goodRequest), frame(0, chance.bytes(20))]);
    default:
      return frame(0, chance.bytes(30_000));
  }
}

function extraHeaders(chance: Chance): string[] {
  const headers: string[] = [];
  const add = (name: string, values: readonly string[]) => {
    if (chance.below(3) === 0) headers.push(name, chance.pick(values));
  };
  add("grpc-timeout", ["1m", "50m", "0n", "99999999H", "", "x", "-1S", chance.text()]);
  add("grpc-encoding", ["gzip", "identity", "br", "", chance.text()]);
  add("grpc-accept-encoding", ["gzip", "gzip,identity", ",", chance.text()]);
  add("x-data-bin", ["AQ", "AQ==,Ag", "!!!", "====", chance.text()]);
  add("grpc-message", ["%", "%zz", chance.text()]);
  return headers;
}

const uncaught: unknown[] = [];
const onUncaught = (error: unknown) => uncaught.push(error);

beforeAll(() => {
  process.on("uncaughtException", onUncaught);
  process.on("unhandledRejection", onUncaught);
});

afterAll(() => {
  process.off("uncaughtException", onUncaught);
  process.off("unhandledRejection", onUncaught);
});

describe("a server under broken requests", () => {
  const unexpected: unknown[] = [];
  let server: GrpcServer;
  let listener: Listener;
  let session: ClientHttp2Session;

  beforeAll(async () => {
    server = new GrpcServer({
      maxReceiveMessageBytes: 100_000,
      partialMessageBytesMax: 2_000_000,
      onHandlerError: (error) => unexpected.push(error),
    });
    new HealthService().register(server);
    server.addRawUnary("/f.F/Raw", (call, message, start, end) => call.reply(message, start, end));
    server.addRawStream("/f.F/Stream", (call) => ({
      onMessage: (message, start, end) => call.write(message, start, end),
      onHalfClose: () => call.end(0, ""),
      onCancel() {},
      onDrain() {},
    }));
    listener = await server.listen({ port: 0 });
    const options = { port: listener.port, host: "127.0.0.1" };
    session = await connect(options, {});
  });

  afterAll(async () => {
    session.destroy();
    await server.shutdown(100);
  });

  /** Resolves when the stream has ended, by whichever side. */
  function call(chance: Chance): Promise<void> {
    return new Promise((resolve) => {
      const receiver: StreamReceiver = {
        onHeaders: (_headers, endStream) => endStream && resolve(),
        onData: (_source, start, end, endStream) => {
          stream.consume(end - start);
          if (endStream) resolve();
        },
        onTrailers: () => resolve(),
        onReset: () => resolve(),
        onWritable() {},
      };
      const path = chance.pick([
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/f.F/Raw",
        "/f.F/Stream",
        "/f.F/Stream",
        `/${chance.text()}`,
      ]);
      const headers = [":method", "POST", ":scheme", "http", ":path", path, ":authority", "fuzz"];
      headers.push("content-type", chance.pick(["application/grpc", "application/grpc+proto"]));
      headers.push("te", "trailers", ...extraHeaders(chance));
      const stream = session.request(headers, false, receiver);
      const bytes = body(chance);
      for (let from = 0; from < bytes.length; ) {
        const to = Math.min(bytes.length, from + 1 + chance.below(9_000));
        stream.sendData(bytes, from, to, false);
        from = to;
      }
      if (chance.below(10) === 0) {
        stream.reset(chance.below(14));
        resolve();
      } else {
        stream.sendData(bytes, 0, 0, true);
      }
    });
  }

  it(`ends every call (seed ${seed})`, async () => {
    const chance = new Chance(seed);
    for (let i = 0; i < callsPerTest; i++) {
      await call(chance);
      expect(session.closed, `the connection ended at call ${i}`).toBe(false);
    }
    expect([unexpected, uncaught]).toEqual([[], []]);
  }, 30_000);

  it("keeps nothing of what was never completed", async () => {
    const channel = new Channel(`127.0.0.1:${listener.port}`);
    // Together these need nearly all that partly received messages may hold.
    const large = new Uint8Array(99_000);
    const replies = new Array(18).fill(0).map(() => channel.rawUnary("/f.F/Raw", large));
    for (const reply of await Promise.all(replies)) expect(reply.length).toBe(99_000);
    await channel.close();
  });
});

describe("a client under broken responses", () => {
  it(`settles every call (seed ${seed})`, async () => {
    const chance = new Chance(seed);
    const listener = await listen({
      port: 0,
      onGrpcStream(stream) {
        const status = chance.pick(["200", "200", "200", "204", "404", "503"]);
        const type = chance.pick(["application/grpc", "application/grpc", "text/html"]);
        const headers = [":status", status, "content-type", type, ...extraHeaders(chance)];
        const trailers = ["grpc-status", chance.pick(["0", "5", "99", "x", ""])];
        if (chance.below(8) === 0) {
          stream.sendHeaders([...headers, ...trailers], true);
        } else {
          stream.sendHeaders(headers, false);
          const bytes = body(chance);
          stream.sendData(bytes, 0, bytes.length, false);
          const end = chance.below(4);
          if (end === 0) stream.sendData(bytes, 0, 0, true);
          else if (end === 1) stream.reset(chance.below(14));
          else stream.sendTrailers([...(end === 2 ? trailers : []), ...extraHeaders(chance)]);
        }
        return { onData() {}, onTrailers() {}, onReset() {}, onWritable() {} };
      },
    });
    const channel = new Channel(`127.0.0.1:${listener.port}`, { maxReceiveMessageBytes: 100_000 });
    const client = createClient(HealthDefinition, channel);
    const settle = async (run: Promise<unknown>) => {
      try {
        await run;
      } catch (error) {
        expect(error).toBeInstanceOf(RpcError);
      }
    };
    const readAll = async () => {
      for await (const _reply of client.watch({}, { timeoutMs: 2_000 }));
    };
    for (let i = 0; i < callsPerTest; i++) {
      await settle(i % 2 === 0 ? client.check({}, { timeoutMs: 2_000 }) : readAll());
    }
    expect(channel.budget.usedBytes).toBe(0);
    expect(uncaught).toEqual([]);
    await channel.close();
    await listener.close(100);
  }, 30_000);
});
