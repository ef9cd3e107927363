// Channels: which endpoint a call goes to, and what happens when connections fail, end and come back.

import { afterEach, describe, expect, it } from "vitest";
import { Status } from "../../base/status.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { RpcError } from "./rpc-error.ts";
import { GrpcServer } from "./server.ts";
import type { ChannelState } from "./types.ts";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server whose one method answers with its name. */
async function startServer(name: string, port = 0) {
  const server = new GrpcServer();
  server.addRawUnary("/t.T/Name", (call) => call.reply(Buffer.from(name), 0, name.length));
  server.addRawUnary("/t.T/Slow", (call) => {
    setTimeout(() => call.reply(Buffer.from(name), 0, name.length), 100);
  });
  const listener = await server.listen({ port });
  closers.push(() => server.shutdown(0));
  return { port: listener.port, stop: (graceMs = 0) => server.shutdown(graceMs) };
}

function open(ports: number[], options: ChannelOptions = {}) {
  const targets = ports.map((port) => `127.0.0.1:${port}`);
  const states: ChannelState[] = [];
  const channel = new Channel(targets, {
    backoff: { initialMs: 20, maxMs: 50 },
    onStateChange: (state) => states.push(state),
    ...options,
  });
  closers.push(() => channel.close());
  return { channel, states };
}

const ask = async (channel: Channel, options = {}) =>
  (await channel.rawUnary("/t.T/Name", new Uint8Array(0), options)).toString();

async function codeOf(promise: Promise<unknown>): Promise<number> {
  try {
    await promise;
    return Status.OK;
  } catch (error) {
    expect(error).toBeInstanceOf(RpcError);
    return (error as RpcError).code;
  }
}

/** A port on which nothing listens. */
async function deadPort(): Promise<number> {
  const { port, stop } = await startServer("dead");
  await stop();
  return port;
}

describe("Channel", () => {
  it("connects with the first call", async () => {
    const { port } = await startServer("a");
    const { channel, states } = open([port]);
    expect(channel.state).toBe("IDLE");
    expect(await ask(channel)).toBe("a");
    expect(states).toEqual(["CONNECTING", "READY"]);
    await channel.close();
    expect(await codeOf(ask(channel))).toBe(Status.CANCELLED);
    expect(channel.state).toBe("SHUTDOWN");
  });

  it("fails with UNAVAILABLE, or waits for a server when asked to", async () => {
    const port = await deadPort();
    const { channel } = open([port]);
    expect(await codeOf(ask(channel))).toBe(Status.UNAVAILABLE);
    expect(channel.state).toBe("TRANSIENT_FAILURE");
    expect(await codeOf(ask(channel, { waitForReady: true, timeoutMs: 50 }))).toBe(
      Status.DEADLINE_EXCEEDED,
    );
    const waiting = ask(channel, { waitForReady: true, timeoutMs: 5_000 });
    await startServer("late", port);
    expect(await waiting).toBe("late");
  });

  it("bounds the calls that wait", async () => {
    const { channel } = open([await deadPort()], { pendingCallsMax: 2 });
    const options = { waitForReady: true, timeoutMs: 60 };
    const codes = await Promise.all([1, 2, 3].map(() => codeOf(ask(channel, options))));
    expect(codes.sort()).toEqual([4, 4, 8]);
  });

  it("pick_first takes the first that works and goes on to the next when it is lost", async () => {
    const first = await startServer("first");
    const second = await startServer("second");
    const { channel } = open([await deadPort(), first.port, second.port]);
    expect([await ask(channel), await ask(channel)]).toEqual(["first", "first"]);
    await first.stop();
    await expect.poll(() => ask(channel).catch(() => "")).toBe("second");
  });

  it("round_robin takes turns and leaves out what is lost", async () => {
    const servers = [await startServer("a"), await startServer("b"), await startServer("c")];
    const { channel } = open(
      servers.map((server) => server.port),
      { balancer: "round_robin" },
    );
    const seen = async () => {
      const names = new Set<string>();
      for (let i = 0; i < 6; i++) names.add(await ask(channel).catch(() => "failed"));
      return [...names].sort().join();
    };
    await expect.poll(seen).toBe("a,b,c");
    await servers[1]?.stop();
    await expect.poll(seen).toBe("a,c");
    await startServer("b", servers[1]?.port);
    await expect.poll(seen).toBe("a,b,c");
  });

  it("loses no call when a server goes away gracefully", async () => {
    const first = await startServer("first");
    const second = await startServer("second");
    const { channel } = open([first.port, second.port]);
    await ask(channel);
    const slow = channel.rawUnary("/t.T/Slow", new Uint8Array(0));
    const answers: Promise<string>[] = [];
    const timer = setInterval(() => answers.push(ask(channel)), 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await first.stop(2_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    clearInterval(timer);
    expect((await slow).toString()).toBe("first");
    const names = await Promise.all(answers);
    expect(new Set(names)).toEqual(new Set(["first", "second"]));
  });

  it("ends calls with UNAVAILABLE when the connection is cut", async () => {
    const server = await startServer("a");
    const { channel } = open([server.port]);
    await ask(channel);
    const slow = codeOf(channel.rawUnary("/t.T/Slow", new Uint8Array(0)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await server.stop(0);
    expect(await slow).toBe(Status.UNAVAILABLE);
  });

  it("closes an idle connection and opens another when needed", async () => {
    const { port } = await startServer("a");
    const { channel, states } = open([port], { idleTimeoutMs: 40 });
    await ask(channel);
    await expect.poll(() => channel.state).toBe("IDLE");
    expect(await ask(channel)).toBe("a");
    expect(states).toEqual(["CONNECTING", "READY", "IDLE", "CONNECTING", "READY"]);
  });

  it("lets interceptors see and change calls", async () => {
    const { port } = await startServer("a");
    const ends: string[] = [];
    const { channel } = open([port], {
      interceptors: [
        (next) => (method, options, listener) =>
          next(method, options, {
            onHeaders: (headers) => listener.onHeaders(headers),
            onMessage: (...message) => listener.onMessage(...message),
            onDrain: () => listener.onDrain(),
            onEnd(code, text, trailers) {
              ends.push(`${method.path} ${code}`);
              listener.onEnd(code, text, trailers);
            },
          }),
        (next) => (method, options, listener) =>
          next({ ...method, path: method.path.replace("Alias", "Name") }, options, listener),
      ],
    });
    expect((await channel.rawUnary("/t.T/Alias", new Uint8Array(0))).toString()).toBe("a");
    expect(ends).toEqual(["/t.T/Alias 0"]);
  });
});
