// The TestService and a client for it in three implementations, behind one shape each:
//   startServer() -> { port, cancelled: () => number, close() }
//   openClient(port) -> { unary, clientStream, serverStream, bidi, close }
// A call takes plain messages and { metadata, trailing, timeoutMs, signal }; it fails with { code, message }.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient as createConnectClient } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = dirname(fileURLToPath(import.meta.url));
const protoFile = join(here, "../proto/grpc_testing.proto");
const initialKey = "x-grpc-test-echo-initial";
const trailingKey = "x-grpc-test-echo-trailing-bin";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const payload = (size) => ({ body: new Uint8Array(size) });
const sizeOf = (message) => message.payload?.body.length ?? 0;

// ---- ours ----

export async function ours(build) {
  const load = (file) => import(join(build, file));
  const { GrpcServer } = await load("src/rpc/grpc/server.js");
  const { Channel } = await load("src/rpc/grpc/channel.js");
  const { createClient } = await load("src/rpc/grpc/client.js");
  const { Metadata } = await load("src/rpc/grpc/metadata.js");
  const { addTestService } = await load("test/interop/programs/test-service.js");
  const { TestServiceDefinition } = await load(
    "test/interop/.cache/generated/testing/grpc_testing.js",
  );
  return {
    async startServer() {
      let cancelled = 0;
      const onEnd = (code) => {
        if (code === 1) cancelled++;
      };
      const server = new GrpcServer({ interceptors: [{ begin: () => ({ onEnd }) }] });
      addTestService(server);
      const { port } = await server.listen({ port: 0 });
      return { port, cancelled: () => cancelled, close: () => server.shutdown(100) };
    },
    openClient(port) {
      const channel = new Channel(`127.0.0.1:${port}`);
      const client = createClient(TestServiceDefinition, channel);
      const toOptions = (options, seen) => ({
        ...(options.timeoutMs && { timeoutMs: options.timeoutMs }),
        ...(options.signal && { signal: options.signal }),
        metadata: new Metadata({
          ...(options.initial && { [initialKey]: options.initial }),
          ...(options.trailing && { [trailingKey]: options.trailing }),
        }),
        onHeaders: (headers) => {
          seen.initial = headers.get(initialKey);
        },
        onTrailers: (trailers) => {
          seen.trailing = trailers.get(trailingKey);
        },
      });
      const writeAll = async (call, requests) => {
        for await (const request of requests) await call.write(request);
        call.end();
      };
      return {
        async unary(request, options = {}) {
          const seen = {};
          return { response: await client.unaryCall(request, toOptions(options, seen)), seen };
        },
        async clientStream(requests) {
          const call = client.streamingInputCall();
          await writeAll(call, requests);
          return call.response;
        },
        serverStream: (request, options = {}) =>
          client.streamingOutputCall(request, toOptions(options, {})),
        bidi(requests, options = {}) {
          const call = client.fullDuplexCall(toOptions(options, {}));
          writeAll(call, requests).catch(() => undefined);
          return call;
        },
        close: () => channel.close(),
      };
    },
  };
}

// ---- @grpc/grpc-js ----

export function grpcJs() {
  const definition = protoLoader.loadSync(protoFile, { defaults: true });
  const TestService = grpc.loadPackageDefinition(definition).grpc.testing.TestService;
  const echo = (call) => {
    const initial = call.metadata.get(initialKey)[0];
    const headers = new grpc.Metadata();
    if (initial !== undefined) headers.set(initialKey, initial);
    call.sendMetadata(headers);
    const trailing = call.metadata.get(trailingKey)[0];
    const trailers = new grpc.Metadata();
    if (trailing !== undefined) trailers.set(trailingKey, trailing);
    return trailers;
  };
  const sendAll = async (call, request) => {
    for (const { size, intervalUs } of request.responseParameters) {
      await sleep(intervalUs / 1000);
      if (call.cancelled) return;
      call.write({ payload: payload(size) });
    }
  };
  return {
    async startServer() {
      let cancelled = 0;
      const watch = (call) => call.on("cancelled", () => cancelled++);
      const server = new grpc.Server();
      server.addService(TestService.service, {
        unaryCall(call, reply) {
          watch(call);
          const trailers = echo(call);
          const { responseStatus, responseSize } = call.request;
          if (responseStatus?.code)
            reply({ code: responseStatus.code, details: responseStatus.message });
          else reply(null, { payload: payload(responseSize) }, trailers);
        },
        streamingInputCall(call, reply) {
          watch(call);
          let aggregatedPayloadSize = 0;
          call.on("data", (message) => {
            aggregatedPayloadSize += sizeOf(message);
          });
          call.on("end", () => reply(null, { aggregatedPayloadSize }));
        },
        async streamingOutputCall(call) {
          watch(call);
          await sendAll(call, call.request);
          call.end();
        },
        fullDuplexCall(call) {
          watch(call);
          let last = Promise.resolve();
          call.on("data", (message) => {
            last = last.then(() => sendAll(call, message));
          });
          call.on("end", () => void last.then(() => call.end()));
        },
      });
      const bind = (resolve, reject) =>
        server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
          error ? reject(error) : resolve(port),
        );
      const port = await new Promise(bind);
      return { port, cancelled: () => cancelled, close: () => server.forceShutdown() };
    },
    openClient(port) {
      const client = new TestService(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
      const toArguments = ({ initial, trailing, timeoutMs }) => {
        const metadata = new grpc.Metadata();
        if (initial) metadata.set(initialKey, initial);
        if (trailing) metadata.set(trailingKey, Buffer.from(trailing));
        return [metadata, timeoutMs ? { deadline: Date.now() + timeoutMs } : {}];
      };
      const fail = (error) => ({ code: error.code, message: error.details });
      const iterate = async function* (call, signal) {
        signal?.addEventListener("abort", () => call.cancel());
        try {
          for await (const message of call) yield message;
        } catch (error) {
          throw fail(error);
        }
      };
      return {
        unary(request, options = {}) {
          const seen = {};
          return new Promise((resolve, reject) => {
            const call = client.unaryCall(request, ...toArguments(options), (error, response) =>
              error ? reject(fail(error)) : setImmediate(() => resolve({ response, seen })),
            );
            options.signal?.addEventListener("abort", () => call.cancel());
            call.on("metadata", (metadata) => {
              seen.initial = metadata.get(initialKey)[0];
            });
            call.on("status", (status) => {
              seen.trailing = status.metadata.get(trailingKey)[0];
            });
          });
        },
        clientStream(requests) {
          return new Promise((resolve, reject) => {
            const call = client.streamingInputCall((error, response) =>
              error ? reject(fail(error)) : resolve(response),
            );
            for (const request of requests) call.write(request);
            call.end();
          });
        },
        serverStream: (request, options = {}) =>
          iterate(client.streamingOutputCall(request, ...toArguments(options)), options.signal),
        bidi(requests, options = {}) {
          const call = client.fullDuplexCall(...toArguments(options));
          void (async () => {
            for await (const request of requests) call.write(request);
            call.end();
          })();
          return iterate(call, options.signal);
        },
        close: () => client.close(),
      };
    },
  };
}

// ---- @connectrpc/connect-node ----

export function connectNode() {
  const buf = join(here, "../../../node_modules/.bin/buf");
  const image = join(here, "../.cache/grpc_testing.binpb");
  execFileSync(buf, ["build", join(here, "../proto"), "-o", image]);
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(image));
  const TestService = createFileRegistry(set).getService("grpc.testing.TestService");
  const echo = (context) => {
    for (const [key, target] of [
      [initialKey, context.responseHeader],
      [trailingKey, context.responseTrailer],
    ]) {
      const value = context.requestHeader.get(key);
      if (value !== null) target.set(key, value);
    }
  };
  const outputs = async function* (request) {
    for (const { size, intervalUs } of request.responseParameters) {
      await sleep(intervalUs / 1000);
      yield { payload: payload(size) };
    }
  };
  return {
    async startServer() {
      let cancelled = 0;
      const watch = (context) =>
        context.signal.addEventListener("abort", () => {
          if (ConnectError.from(context.signal.reason).code === Code.Canceled) cancelled++;
        });
      const routes = (router) =>
        router.service(TestService, {
          unaryCall(request, context) {
            watch(context);
            echo(context);
            const status = request.responseStatus;
            if (status?.code) throw new ConnectError(status.message, status.code);
            return { payload: payload(request.responseSize) };
          },
          async streamingInputCall(requests) {
            let aggregatedPayloadSize = 0;
            for await (const message of requests) aggregatedPayloadSize += sizeOf(message);
            return { aggregatedPayloadSize };
          },
          async *streamingOutputCall(request, context) {
            watch(context);
            yield* outputs(request);
          },
          async *fullDuplexCall(requests, context) {
            watch(context);
            for await (const request of requests) yield* outputs(request);
          },
        });
      const sessions = new Set();
      const server = http2.createServer(connectNodeAdapter({ routes }));
      server.on("session", (session) => sessions.add(session));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const close = () => {
        for (const session of sessions) session.destroy();
        server.close();
      };
      return { port: server.address().port, cancelled: () => cancelled, close };
    },
    openClient(port) {
      const baseUrl = `http://127.0.0.1:${port}`;
      const client = createConnectClient(TestService, createGrpcTransport({ baseUrl }));
      const abort = new AbortController();
      const toOptions = ({ initial, trailing, timeoutMs, signal }, seen = {}) => ({
        signal: signal ?? abort.signal,
        ...(timeoutMs && { timeoutMs }),
        headers: {
          ...(initial && { [initialKey]: initial }),
          ...(trailing && { [trailingKey]: Buffer.from(trailing).toString("base64") }),
        },
        onHeader: (headers) => {
          seen.initial = headers.get(initialKey);
        },
        onTrailer: (trailers) => {
          seen.trailing = Buffer.from(trailers.get(trailingKey) ?? "", "base64");
        },
      });
      const fail = (error) => ({
        code: ConnectError.from(error).code,
        message: ConnectError.from(error).rawMessage,
      });
      const iterate = async function* (responses) {
        try {
          yield* responses;
        } catch (error) {
          throw fail(error);
        }
      };
      const each = async function* (requests) {
        yield* requests;
      };
      return {
        async unary(request, options = {}) {
          const seen = {};
          try {
            return { response: await client.unaryCall(request, toOptions(options, seen)), seen };
          } catch (error) {
            throw fail(error);
          }
        },
        clientStream: (requests) => client.streamingInputCall(each(requests)),
        serverStream: (request, options = {}) =>
          iterate(client.streamingOutputCall(request, toOptions(options))),
        bidi: (requests, options = {}) =>
          iterate(client.fullDuplexCall(each(requests), toOptions(options))),
        close: () => abort.abort(),
      };
    },
  };
}
