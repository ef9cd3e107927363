import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { makeSelfSigned } from "../../config/self-signed.ts";
import type { ClientSession } from "./client-session.ts";
import { connect } from "./connect.ts";
import { type Listener, type ListenOptions, listen } from "./listener.ts";
import { Recorder, replyAtEnd, requestHeaders } from "./session-testing.ts";
import type { Http2Session } from "./types.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function open(options: ListenOptions): Promise<Listener> {
  const listener = await listen({
    onGrpcStream: (stream) => replyAtEnd(stream),
    httpHandler: (request, reply) => {
      const { method, path, body, secure } = request;
      reply.send(200, { "content-type": "text/plain" }, `${method} ${path} ${body} ${secure}`);
    },
    ...options,
  });
  closers.push(() => listener.close(0));
  return listener;
}

async function dial(options: Parameters<typeof connect>[0]): Promise<ClientSession> {
  const session = await connect(options, {});
  closers.push(() => session.destroy());
  return session;
}

async function grpcCall(session: ClientSession, body = Buffer.from("hi")): Promise<Recorder> {
  const recorder = new Recorder();
  const done = new Promise<void>((resolve) => {
    recorder.onEnded = resolve;
  });
  const stream = session.request(requestHeaders, false, recorder);
  const onData = recorder.onData.bind(recorder);
  recorder.onData = (source, start, end, endStream) => {
    onData(source, start, end, endStream);
    stream.consume(end - start);
  };
  stream.sendMessage(body, 0, body.length, true);
  await done;
  return recorder;
}

function http1Get(options: http.RequestOptions, body?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(`${response.statusCode} ${text}`));
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** A self-signed certificate for localhost, made for this run. */
async function makeCertificate(): Promise<{ key: string; cert: string }> {
  const { key, certificate } = await makeSelfSigned(["localhost"], 1, new Date());
  return { key, cert: certificate };
}

test("one port speaks gRPC, HTTP/2 and HTTP/1.1", async () => {
  const { port } = await open({});
  const session = await dial({ port });
  expect((await grpcCall(session)).body).toBe("\0\0\0\0\x02ok");
  const page = new Recorder();
  const done = new Promise<void>((resolve) => {
    page.onEnded = resolve;
  });
  const list = [":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "x"];
  session.request(list, true, page);
  await done;
  expect(page.body).toBe("GET /health  false");
  expect(await http1Get({ port, path: "/health" })).toBe("200 GET /health  false");
  expect(await http1Get({ port, path: "/x", method: "POST" }, "abc")).toBe("200 POST /x abc false");
});

test("Node's own HTTP/2 client gets its answers", async () => {
  const { port } = await open({});
  const client = http2.connect(`http://127.0.0.1:${port}`);
  closers.push(() => client.destroy());
  const texts = await Promise.all(
    Array.from(
      { length: 50 },
      (_, i) =>
        new Promise<string>((resolve, reject) => {
          const request = client.request({ ":method": "POST", ":path": `/${i}`, "x-no": `${i}` });
          let text = "";
          request.on("data", (chunk: Buffer) => {
            text += chunk.toString();
          });
          request.on("end", () => resolve(text));
          request.on("error", reject);
          request.end("b".repeat(i * 1_000));
        }),
    ),
  );
  expect(texts).toEqual(
    Array.from({ length: 50 }, (_, i) => `POST /${i} ${"b".repeat(i * 1_000)} false`),
  );
});

test("megabytes pass real sockets in both directions", async () => {
  const big = Buffer.alloc(8 << 20, "z");
  const { port } = await open({
    onGrpcStream: (stream) => {
      const recorder = replyAtEnd(stream, big);
      const onData = recorder.onData.bind(recorder);
      recorder.onData = (source, start, end, endStream) => {
        onData(source, start, end, endStream);
        stream.consume(end - start);
      };
      return recorder;
    },
  });
  const session = await dial({ port });
  const calls = await Promise.all([1, 2, 3].map(() => grpcCall(session, big)));
  for (const call of calls) expect(call.bytes).toBe(big.length + 5);
});

test("TLS with ALPN, client certificates, and a new certificate without a restart", async () => {
  const first = await makeCertificate();
  const second = await makeCertificate();
  const sessions: Http2Session[] = [];
  const listener = await open({
    tls: { ...first, ca: first.cert, requestCert: true, rejectUnauthorized: false },
    onSession: (session) => {
      sessions.push(session);
      return true;
    },
  });
  const { port } = listener;
  const tls = { ca: first.cert, servername: "localhost", key: first.key, cert: first.cert };
  const session = await dial({ port, tls });
  expect((await grpcCall(session)).ended).toBe(true);
  expect(sessions[0]?.peerCertificate()?.subject.O).toBe("Portal");
  expect(session.secure).toBe(true);
  listener.setSecureContext({ ...second, ca: first.cert });
  await expect(dial({ port, tls })).rejects.toThrow();
  const renewed = await dial({ port, tls: { ...tls, ca: second.cert } });
  expect((await grpcCall(renewed, Buffer.alloc(300_000))).ended).toBe(true);
});

test("unix sockets", async () => {
  const folder = mkdtempSync(join(tmpdir(), "portal-http2-"));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "socket");
  await open({ path });
  expect((await grpcCall(await dial({ path }))).ended).toBe(true);
  expect(await http1Get({ socketPath: path, path: "/v" })).toBe("200 GET /v  false");
});

test("what speaks neither protocol is closed", async () => {
  const { port } = await open({});
  const socket = net.connect(port, "127.0.0.1", () => socket.write("HELO example\r\n"));
  const received = await new Promise<number>((resolve, reject) => {
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    socket.on("end", () => resolve(bytes));
    socket.on("error", reject);
  });
  expect(received).toBe(0);
});

test("close lets a request finish and then refuses connections", async () => {
  let finish: () => void = () => {};
  let begun: () => void = () => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const listener = await open({
    httpHandler: (_request, reply) =>
      new Promise<void>((resolve) => {
        begun();
        finish = () => {
          reply.send(200, {}, "late");
          resolve();
        };
      }),
  });
  const answer = http1Get({ port: listener.port, path: "/" });
  await hasBegun;
  const session = await dial({ port: listener.port });
  await grpcCall(session);
  const closed = listener.close(5_000);
  await session.whenClosed;
  finish();
  expect(await answer).toBe("200 late");
  await closed;
  await expect(dial({ port: listener.port })).rejects.toThrow("ECONNREFUSED");
});

test("close does not wait for idle keep-alive connections", async () => {
  const listener = await open({});
  const agent = new http.Agent({ keepAlive: true });
  closers.push(() => agent.destroy());
  const { port } = listener;
  await new Promise<void>((resolve) => {
    http.get({ port, agent }, (response) => response.resume().on("end", resolve));
  });
  const before = performance.now();
  await listener.close(10_000);
  expect(performance.now() - before).toBeLessThan(2_000);
});

test("an address in use is an error, and connecting can be given up", async () => {
  const { port } = await open({});
  await expect(listen({ port })).rejects.toThrow("EADDRINUSE");
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(connect({ port, signal }, {})).rejects.toThrow("enough");
});
