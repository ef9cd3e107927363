// grpc.testing.TestService on our server: what the interop cases call.

import { Status, type StatusCode, StatusError } from "../../../src/base/status.ts";
import { Metadata } from "../../../src/rpc/grpc/metadata.ts";
import type { GrpcServer } from "../../../src/rpc/grpc/server.ts";
import type { CallContext, RawStreamCall } from "../../../src/rpc/grpc/types.ts";
import {
  type EchoStatus,
  StreamingInputCallRequest,
  StreamingInputCallResponse,
  type StreamingOutputCallRequest,
  TestServiceDefinition,
} from "../.cache/generated/testing/grpc_testing.ts";

const initialKey = "x-grpc-test-echo-initial";
const trailingKey = "x-grpc-test-echo-trailing-bin";

export function addTestService(server: GrpcServer): void {
  server.addRawStream("/grpc.testing.TestService/StreamingInputCall", sumPayloads, "client-stream");
  server.addService(TestServiceDefinition, {
    emptyCall: (_request, context) => {
      echoMetadata(context);
      return {};
    },
    unaryCall(request, context) {
      echoMetadata(context);
      checkCompressed(request.expectCompressed?.value, context.messageCompressed);
      failAs(request.responseStatus);
      if (request.responseCompressed?.value) context.responseEncoding = "gzip";
      return { payload: { body: new Uint8Array(request.responseSize) } };
    },
    cacheableUnaryCall: (request) => ({ payload: { body: new Uint8Array(request.responseSize) } }),
    async *streamingOutputCall(request, context) {
      echoMetadata(context);
      yield* outputs(request, context);
    },
    async *fullDuplexCall(requests, context) {
      echoMetadata(context);
      for await (const request of requests) {
        failAs(request.responseStatus);
        yield* outputs(request, context);
      }
    },
    async *halfDuplexCall(requests, context) {
      const all: StreamingOutputCallRequest[] = [];
      for await (const request of requests) all.push(request);
      for (const request of all) yield* outputs(request, context);
    },
  });
}

async function* outputs(request: StreamingOutputCallRequest, context: CallContext) {
  for (const { size, intervalUs, compressed } of request.responseParameters) {
    if (intervalUs > 0) await new Promise((resolve) => setTimeout(resolve, intervalUs / 1000));
    if (
      request.responseParameters.some((one) => one.compressed?.value) &&
      context.responseEncoding === "identity"
    ) {
      context.responseEncoding = "gzip";
    }
    context.compress = compressed?.value ?? false;
    yield { payload: { body: new Uint8Array(size) } };
  }
}

/** On bytes, because whether each single message came compressed is to be checked. */
function sumPayloads(call: RawStreamCall) {
  let bytes = 0;
  return {
    onMessage(message: Buffer, start: number, end: number) {
      const request = StreamingInputCallRequest.decode(message.subarray(start, end));
      checkCompressed(request.expectCompressed?.value, call.messageCompressed);
      bytes += request.payload?.body.length ?? 0;
    },
    onHalfClose() {
      const reply = StreamingInputCallResponse.encode({ aggregatedPayloadSize: bytes }).finish();
      call.write(reply, 0, reply.length);
      call.end(Status.OK, "");
    },
    onCancel() {},
    onDrain() {},
  };
}

function echoMetadata(context: CallContext): void {
  const initial = context.metadata.get(initialKey);
  if (initial !== undefined) context.sendHeaders(new Metadata({ [initialKey]: initial }));
  const trailing = context.metadata.get(trailingKey);
  if (trailing !== undefined) context.setTrailers(new Metadata({ [trailingKey]: trailing }));
}

function checkCompressed(expected: boolean | undefined, actual: boolean): void {
  if (expected === undefined || expected === actual) return;
  throw new StatusError(Status.INVALID_ARGUMENT, `message compressed: ${actual}, not ${expected}`);
}

function failAs(status: EchoStatus | undefined): void {
  if (status !== undefined && status.code !== 0) {
    throw new StatusError(status.code as StatusCode, status.message);
  }
}
