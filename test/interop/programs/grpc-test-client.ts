// The interop client: runs one case of grpc.testing against a server and exits with 0 when it passes.
//
//   --server_host=H --server_port=N --test_case=C
//   [--use_tls=true --ca_file=F --server_host_override=NAME]

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Status } from "../../../src/base/status.ts";
import { Channel } from "../../../src/rpc/grpc/channel.ts";
import { createClient } from "../../../src/rpc/grpc/client.ts";
import { Metadata } from "../../../src/rpc/grpc/metadata.ts";
import { RpcError } from "../../../src/rpc/grpc/rpc-error.ts";
import type { Client, ClientInterceptor } from "../../../src/rpc/grpc/types.ts";
import {
  TestServiceDefinition,
  UnimplementedServiceDefinition,
} from "../.cache/generated/testing/grpc_testing.ts";
import { readFlags } from "./flags.ts";

const flags = readFlags();
const largeRequestBytes = 271_828;
const largeResponseBytes = 314_159;
const requestBytes = [27_182, 8, 1_828, 45_904];
const responseBytes = [31_415, 9, 2_653, 58_979];
const initialKey = "x-grpc-test-echo-initial";
const trailingKey = "x-grpc-test-echo-trailing-bin";
/** How each response message came, in order. */
const arrivedCompressed: boolean[] = [];

const watchCompression: ClientInterceptor = (next) => (method, options, listener) =>
  next(method, options, {
    onHeaders: (headers) => listener.onHeaders(headers),
    onMessage(message, start, end, compressed) {
      arrivedCompressed.push(compressed);
      listener.onMessage(message, start, end, compressed);
    },
    onDrain: () => listener.onDrain(),
    onEnd: (code, message, trailers) => listener.onEnd(code, message, trailers),
  });

function openChannel(): Channel {
  const override = flags.server_host_override;
  const tls = flags.use_tls === "true" ? { ca: readFileSync(flags.ca_file ?? "") } : undefined;
  return new Channel(`${flags.server_host ?? "127.0.0.1"}:${flags.server_port}`, {
    tls,
    ...(override !== undefined && { authority: override }),
    interceptors: [watchCompression],
  });
}

type TestClient = Client<typeof TestServiceDefinition>;

const payload = (bytes: number) => ({ body: new Uint8Array(bytes) });

async function largeUnary(client: TestClient): Promise<void> {
  const response = await client.unaryCall({
    responseSize: largeResponseBytes,
    payload: payload(largeRequestBytes),
  });
  assert.equal(response.payload?.body.length, largeResponseBytes);
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  try {
    await promise;
  } catch (error) {
    assert(error instanceof RpcError, String(error));
    return error;
  }
  return assert.fail("the call did not fail");
}

const cases: Record<string, (client: TestClient, channel: Channel) => Promise<void>> = {
  async empty_unary(client) {
    assert.deepEqual(await client.emptyCall({}), {});
  },

  large_unary: largeUnary,

  async client_streaming(client) {
    const call = client.streamingInputCall();
    for (const bytes of requestBytes) await call.write({ payload: payload(bytes) });
    call.end();
    assert.equal((await call.response).aggregatedPayloadSize, 74_922);
  },

  async server_streaming(client) {
    const sizes: number[] = [];
    const responseParameters = responseBytes.map((size) => ({ size }));
    for await (const response of client.streamingOutputCall({ responseParameters })) {
      sizes.push(response.payload?.body.length ?? -1);
    }
    assert.deepEqual(sizes, responseBytes);
  },

  async ping_pong(client) {
    const call = client.fullDuplexCall();
    const replies = call[Symbol.asyncIterator]();
    for (const [index, bytes] of requestBytes.entries()) {
      const size = responseBytes[index] as number;
      await call.write({ responseParameters: [{ size }], payload: payload(bytes) });
      const reply = await replies.next();
      assert.equal(reply.value?.payload?.body.length, size);
    }
    call.end();
    assert.equal((await replies.next()).done, true);
  },

  async empty_stream(client) {
    const call = client.fullDuplexCall();
    call.end();
    for await (const _reply of call) assert.fail("a reply to nothing");
  },

  async custom_metadata(client) {
    const initial = "test_initial_metadata_value";
    const trailing = new Uint8Array([0xab, 0xab, 0xab]);
    const metadata = new Metadata({ [initialKey]: initial, [trailingKey]: trailing });
    const check = (headers: Metadata, trailers: Metadata) => {
      assert.equal(headers.get(initialKey), initial);
      assert.deepEqual([...(trailers.get(trailingKey as "x-bin") ?? [])], [...trailing]);
    };
    let headers = new Metadata();
    let trailers = new Metadata();
    await client.unaryCall(
      { responseSize: largeResponseBytes, payload: payload(largeRequestBytes) },
      {
        metadata,
        onHeaders: (received) => {
          headers = received;
        },
        onTrailers: (received) => {
          trailers = received;
        },
      },
    );
    check(headers, trailers);
    const call = client.fullDuplexCall({ metadata });
    await call.write({ responseParameters: [{ size: 314_159 }], payload: payload(271_828) });
    call.end();
    for await (const reply of call) assert.equal(reply.payload?.body.length, 314_159);
    check(await call.headers, await call.trailers);
  },

  async status_code_and_message(client) {
    const responseStatus = { code: 2, message: "test status message" };
    const unary = await failure(client.unaryCall({ responseStatus }));
    assert.deepEqual([unary.code, unary.message], [2, "test status message"]);
    const call = client.fullDuplexCall();
    await call.write({ responseStatus });
    call.end();
    const stream = await failure(call[Symbol.asyncIterator]().next());
    assert.deepEqual([stream.code, stream.message], [2, "test status message"]);
  },

  async special_status_message(client) {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    const error = await failure(client.unaryCall({ responseStatus: { code: 2, message } }));
    assert.deepEqual([error.code, error.message], [2, message]);
  },

  async unimplemented_method(client) {
    assert.equal((await failure(client.unimplementedCall({}))).code, Status.UNIMPLEMENTED);
  },

  async unimplemented_service(_client, channel) {
    const client = createClient(UnimplementedServiceDefinition, channel);
    assert.equal((await failure(client.unimplementedCall({}))).code, Status.UNIMPLEMENTED);
  },

  async cancel_after_begin(client) {
    const call = client.streamingInputCall();
    call.cancel();
    assert.equal((await failure(call.response)).code, Status.CANCELLED);
  },

  async cancel_after_first_response(client) {
    const call = client.fullDuplexCall();
    const replies = call[Symbol.asyncIterator]();
    await call.write({ responseParameters: [{ size: 31_415 }], payload: payload(27_182) });
    assert.equal((await replies.next()).value?.payload?.body.length, 31_415);
    call.cancel();
    assert.equal((await failure(replies.next())).code, Status.CANCELLED);
  },

  async timeout_on_sleeping_server(client) {
    const call = client.fullDuplexCall({ timeoutMs: 1 });
    call.write({ payload: payload(27_182) }).catch(() => undefined);
    const error = await failure(call[Symbol.asyncIterator]().next());
    assert.equal(error.code, Status.DEADLINE_EXCEEDED);
  },

  async rpc_soak(client) {
    for (let i = 0; i < 10; i++) await largeUnary(client);
  },

  async channel_soak() {
    for (let i = 0; i < 10; i++) {
      const channel = openChannel();
      await largeUnary(createClient(TestServiceDefinition, channel));
      await channel.close();
    }
  },

  async client_compressed_unary(client) {
    const request = { responseSize: largeResponseBytes, payload: payload(largeRequestBytes) };
    const expectation = { ...request, expectCompressed: { value: true } };
    assert.equal((await failure(client.unaryCall(expectation))).code, Status.INVALID_ARGUMENT);
    await client.unaryCall(expectation, { encoding: "gzip" });
    await client.unaryCall({ ...request, expectCompressed: { value: false } });
  },

  async client_compressed_streaming(client) {
    const probe = client.streamingInputCall();
    await probe.write({ expectCompressed: { value: true }, payload: payload(27_182) });
    probe.end();
    assert.equal((await failure(probe.response)).code, Status.INVALID_ARGUMENT);
    const call = client.streamingInputCall({ encoding: "gzip" });
    await call.write({ expectCompressed: { value: true }, payload: payload(27_182) });
    await call.write(
      { expectCompressed: { value: false }, payload: payload(45_904) },
      { compress: false },
    );
    call.end();
    assert.equal((await call.response).aggregatedPayloadSize, 73_086);
  },

  async server_compressed_unary(client) {
    for (const compressed of [true, false]) {
      arrivedCompressed.length = 0;
      const response = await client.unaryCall({
        responseCompressed: { value: compressed },
        responseSize: largeResponseBytes,
        payload: payload(largeRequestBytes),
      });
      assert.equal(response.payload?.body.length, largeResponseBytes);
      assert.deepEqual(arrivedCompressed, [compressed]);
    }
  },

  async server_compressed_streaming(client) {
    const responseParameters = [
      { compressed: { value: true }, size: 31_415 },
      { compressed: { value: false }, size: 92_653 },
    ];
    const sizes: number[] = [];
    for await (const response of client.streamingOutputCall({ responseParameters })) {
      sizes.push(response.payload?.body.length ?? -1);
    }
    assert.deepEqual(sizes, [31_415, 92_653]);
    assert.deepEqual(arrivedCompressed, [true, false]);
  },
};

const run = cases[flags.test_case ?? ""];
if (run === undefined) throw new Error(`no such case: ${flags.test_case}`);
const channel = openChannel();
await run(createClient(TestServiceDefinition, channel), channel);
await channel.close();
