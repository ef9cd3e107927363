// Server and client against each other over loopback: what one end promises, as the other sees it.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Status, StatusError } from "../../base/status.ts";
import { HealthDefinition } from "../../wire/generated/health.ts";
import type { Listener } from "../http2/listener.ts";
import { Channel } from "./channel.ts";
import { createClient } from "./client.ts";
import { HealthService } from "./health.ts";
import { Metadata } from "./metadata.ts";
import { RpcError } from "./rpc-error.ts";
import { GrpcServer } from "./server.ts";
import type {
  ClientCallListener,
  MethodDefinition,
  RawUnaryCall,
  ServerInterceptor,
} from "./types.ts";

/** A message that is its bytes, so that streams can be tested without a generated service. */
const bytesType = {
  encode: (message: Uint8Array) => ({ finish: () => message }),
  decode(bytes: Uint8Array): Uint8Array {
    if (bytes[0] === 0xff) throw new Error("invalid wire type");
    return bytes;
  },
  fromPartial: (partial: Uint8Array) => partial,
};

interface BytesMethod<S extends boolean, R extends boolean> extends MethodDefinition {
  readonly requestType: typeof bytesType;
  readonly requestStream: S;
  readonly responseType: typeof bytesType;
  readonly responseStream: R;
}

function method<const S extends boolean, const R extends boolean>(
  name: string,
  requests: S,
  responses: R,
): BytesMethod<S, R> {
  return {
    name,
    requestType: bytesType,
    requestStream: requests,
    responseType: bytesType,
    responseStream: responses,
  };
}

const EchoDefinition = {
  fullName: "test.Echo",
  methods: {
    unary: method("Unary", false, false),
    down: method("Down", false, true),
    up: method("Up", true, false),
    both: method("Both", true, true),
    missing: method("Missing", false, false),
    hang: method("Hang", false, false),
  },
} as const;

const aborted: string[] = [];
const ended: [path: string, code: number][] = [];
const observing: ServerInterceptor = {
  begin(call) {
    if (call.metadata.get("x-refuse") !== undefined) {
      throw new StatusError(Status.UNAUTHENTICATED, "refused by an interceptor");
    }
    return { onEnd: (code) => ended.push([call.method.path, code]) };
  },
};

let server: GrpcServer;
let listener: Listener;
let channel: Channel;
const rawCalls: RawUnaryCall[] = [];

beforeAll(async () => {
  server = new GrpcServer({ interceptors: [observing], onHandlerError: () => {} });
  const health = new HealthService();
  health.register(server);
  server.addService(EchoDefinition, {
    unary(request, context) {
      const echo = context.metadata.get("x-echo");
      if (echo !== undefined) context.sendHeaders(new Metadata({ "x-echo": echo }));
      const trace = context.metadata.get("x-trace-bin");
      if (trace !== undefined) context.setTrailers(new Metadata({ "x-trace-bin": trace }));
      if (context.metadata.get("x-gzip") !== undefined) context.responseEncoding = "gzip";
      const fail = context.metadata.get("x-fail");
      if (fail === "status") {
        throw new RpcError(Status.NOT_FOUND, "no: 100% ☃", new Metadata({ "x-why": "gone" }));
      }
      if (fail === "bug") throw new Error("secret");
      return request;
    },
    async *down(request) {
      for (let i = 0; i < (request[0] ?? 0); i++) yield new Uint8Array([i]);
    },
    async up(requests) {
      let bytes = 0;
      for await (const request of requests) bytes += request.length;
      return Buffer.from(String(bytes));
    },
    async *both(requests) {
      for await (const request of requests) yield request;
    },
    hang(_request, context) {
      return new Promise((_resolve, reject) => {
        context.signal.addEventListener("abort", () => {
          aborted.push(context.method.name);
          reject(new Error("aborted"));
        });
      });
    },
  });
  server.addRawUnary("/test.Raw/Held", (call) => {
    rawCalls.push(call);
  });
  listener = await server.listen({ port: 0 });
  channel = new Channel(`127.0.0.1:${listener.port}`);
});

afterAll(async () => {
  await channel.close();
  await server.shutdown(100);
});

const echo = () => createClient(EchoDefinition, channel);

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(RpcError);
    return error as RpcError;
  }
  throw new Error("the call did not fail");
}

describe("unary calls", () => {
  it("answers", async () => {
    expect(Buffer.from(await echo().unary(Buffer.from("hello"))).toString()).toBe("hello");
    expect((await echo().unary(new Uint8Array(0))).length).toBe(0);
  });

  it("carries a message longer than every window", async () => {
    const big = Buffer.alloc(3_000_000, "portal");
    expect(Buffer.compare(Buffer.from(await echo().unary(big)), big)).toBe(0);
  });

  it("carries metadata both ways, bytes too", async () => {
    let headers = new Metadata();
    let trailers = new Metadata();
    await echo().unary(new Uint8Array(1), {
      metadata: new Metadata({ "x-echo": "a b", "x-trace-bin": new Uint8Array([0, 255, 7]) }),
      onHeaders: (received) => {
        headers = received;
      },
      onTrailers: (received) => {
        trailers = received;
      },
    });
    expect(headers.get("x-echo")).toBe("a b");
    expect([...(trailers.get("x-trace-bin") ?? [])]).toEqual([0, 255, 7]);
  });

  it("carries a status, its message and trailers", async () => {
    const metadata = new Metadata({ "x-fail": "status" });
    const error = await failure(echo().unary(new Uint8Array(1), { metadata }));
    expect([error.code, error.message]).toEqual([Status.NOT_FOUND, "no: 100% ☃"]);
    expect(error.metadata.get("x-why")).toBe("gone");
  });

  it("tells nothing of an unknown exception", async () => {
    const metadata = new Metadata({ "x-fail": "bug" });
    const error = await failure(echo().unary(new Uint8Array(1), { metadata }));
    expect([error.code, error.message]).toEqual([Status.INTERNAL, "internal error"]);
  });

  it("answers UNIMPLEMENTED for what is not there", async () => {
    expect((await failure(echo().missing(new Uint8Array(1)))).code).toBe(Status.UNIMPLEMENTED);
    const byPath = (path: string) => failure(channel.rawUnary(path, new Uint8Array(0)));
    expect((await byPath("/test.Echo/Nope")).message).toBe(
      "unknown method Nope for service test.Echo",
    );
    expect((await byPath("/test.Nope/Nope")).message).toBe("unknown service test.Nope");
  });

  it("answers INTERNAL for a request that can not be decoded", async () => {
    const error = await failure(echo().unary(new Uint8Array([0xff])));
    expect(error.code).toBe(Status.INTERNAL);
    expect(error.message).toBe("grpc: failed to unmarshal the received message: invalid wire type");
  });

  it("limits what it receives, on both ends", async () => {
    const big = new Uint8Array(4 * 1024 * 1024 + 1);
    const atServer = await failure(echo().unary(big));
    expect(atServer.code).toBe(Status.RESOURCE_EXHAUSTED);
    expect(atServer.message).toBe("grpc: received message larger than max (4194305 vs. 4194304)");
    const options = { maxReceiveMessageBytes: 10 };
    const atClient = await failure(echo().unary(new Uint8Array(11), options));
    expect(atClient.message).toBe("grpc: received message larger than max (11 vs. 10)");
    const sending = await failure(echo().unary(new Uint8Array(11), { maxSendMessageBytes: 10 }));
    expect(sending.message).toBe("trying to send message larger than max (11 vs. 10)");
  });

  it("compresses both ways, and limits what a message expands to", async () => {
    const message = Buffer.alloc(100_000, "x");
    const metadata = new Metadata({ "x-gzip": "1" });
    const reply = await echo().unary(message, { encoding: "gzip", metadata });
    expect(Buffer.compare(Buffer.from(reply), message)).toBe(0);
    const bomb = new Uint8Array(5 * 1024 * 1024);
    const error = await failure(echo().unary(bomb, { encoding: "gzip" }));
    expect(error.code).toBe(Status.RESOURCE_EXHAUSTED);
  });

  it("ends at the deadline and tells the handler", async () => {
    aborted.length = 0;
    const error = await failure(echo().hang(new Uint8Array(1), { timeoutMs: 30 }));
    expect(error.code).toBe(Status.DEADLINE_EXCEEDED);
    await expect.poll(() => aborted).toEqual(["Hang"]);
  });

  it("ends by an AbortSignal and tells the handler", async () => {
    aborted.length = 0;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const error = await failure(echo().hang(new Uint8Array(1), { signal: controller.signal }));
    expect(error.code).toBe(Status.CANCELLED);
    await expect.poll(() => aborted).toEqual(["Hang"]);
  });

  it("tells a raw handler of a cancel, once, and ignores its late answer", async () => {
    rawCalls.length = 0;
    const controller = new AbortController();
    const reply = failure(
      channel.rawUnary("/test.Raw/Held", new Uint8Array(3), { signal: controller.signal }),
    );
    await expect.poll(() => rawCalls.length).toBe(1);
    const call = rawCalls[0] as RawUnaryCall;
    let cancels = 0;
    call.onCancel = () => {
      cancels++;
    };
    controller.abort();
    await reply;
    await expect.poll(() => cancels).toBe(1);
    expect(call.cancelled).toBe(true);
    call.reply(new Uint8Array(1), 0, 1);
  });

  it("asks interceptors first and tells them the end", async () => {
    ended.length = 0;
    const metadata = new Metadata({ "x-refuse": "1" });
    const error = await failure(echo().unary(new Uint8Array(1), { metadata }));
    expect([error.code, error.message]).toEqual([16, "refused by an interceptor"]);
    await echo().unary(new Uint8Array(1));
    expect(ended).toEqual([["/test.Echo/Unary", 0]]);
  });
});

describe("streams", () => {
  it("down", async () => {
    const received: number[] = [];
    for await (const message of echo().down(new Uint8Array([5]))) received.push(message[0] ?? -1);
    expect(received).toEqual([0, 1, 2, 3, 4]);
  });

  it("up, with more than fits into the windows", async () => {
    const call = echo().up();
    for (let i = 0; i < 100; i++) await call.write(new Uint8Array(100_000));
    call.end();
    expect(Buffer.from(await call.response).toString()).toBe("10000000");
  });

  it("both ways, in turn", async () => {
    const call = echo().both();
    const replies = call[Symbol.asyncIterator]();
    for (const text of ["a", "", "c".repeat(70_000)]) {
      await call.write(Buffer.from(text));
      const reply = await replies.next();
      expect(Buffer.from(reply.value ?? []).toString()).toBe(text);
    }
    call.end();
    expect((await replies.next()).done).toBe(true);
  });

  it("push back from a slow reader to the writer", async () => {
    const call = echo().both();
    let written = 0;
    const writing = (async () => {
      for (; written < 400; written++) await call.write(new Uint8Array(100_000));
      call.end();
    })();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(200);
    let received = 0;
    for await (const message of call) received += message.length;
    await writing;
    expect(received).toBe(40_000_000);
  });

  it("are cancelled by leaving the loop", async () => {
    ended.length = 0;
    const call = echo().both();
    await call.write(new Uint8Array(1));
    for await (const _message of call) break;
    await expect.poll(() => ended).toContainEqual(["/test.Echo/Both", Status.CANCELLED]);
  }, 3_000);

  it("refuse a second request where one is due", async () => {
    const ends: number[] = [];
    const handler: ClientCallListener = {
      onHeaders() {},
      onMessage() {},
      onDrain() {},
      onEnd: (code) => ends.push(code),
    };
    for (const path of ["/test.Echo/Unary", "/test.Echo/Down"]) {
      for (const count of [0, 2]) {
        const call = channel.rawStream(path, handler);
        for (let i = 0; i < count; i++) call.write(new Uint8Array(1), 0, 1);
        call.halfClose();
      }
    }
    await expect.poll(() => ends).toEqual([12, 12, 12, 12]);
  });
});

describe("health", () => {
  it("checks, lists and watches", async () => {
    const health = new HealthService();
    const own = new GrpcServer();
    health.register(own);
    const { port } = await own.listen({ port: 0 });
    const ownChannel = new Channel(`127.0.0.1:${port}`);
    const client = createClient(HealthDefinition, ownChannel);
    expect((await client.check({})).status).toBe(1);
    expect((await failure(client.check({ service: "x" }))).code).toBe(Status.NOT_FOUND);
    expect(Object.keys((await client.list({})).statuses)).toEqual([""]);
    const seen: number[] = [];
    for await (const reply of client.watch({ service: "x" })) {
      seen.push(reply.status);
      if (reply.status === 3) health.setStatus("x", "SERVING");
      if (reply.status === 1) health.shutdown();
      if (reply.status === 2) break;
    }
    expect(seen).toEqual([3, 1, 2]);
    await ownChannel.close();
    await own.shutdown(100);
  });
});
