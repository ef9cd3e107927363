// Connect's conformance service on our server: one message on stdin says how to serve, one on stdout
// where.

import { GrpcServer } from "../../../src/rpc/grpc/server.ts";
import type { CallContext, MessageType } from "../../../src/rpc/grpc/types.ts";
import {
  ServerCompatRequest,
  ServerCompatResponse,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/server_compat.ts";
import {
  BidiStreamRequest,
  ClientStreamRequest,
  type ConformancePayload,
  ConformancePayload_RequestInfo,
  ConformanceServiceDefinition,
  type Error as ErrorMessage,
  ServerStreamRequest,
  type StreamResponseDefinition,
  UnaryRequest,
  type UnaryResponseDefinition,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/service.ts";
import type { Any } from "../.cache/generated/conformance/google/protobuf/any.ts";
import {
  readMessages,
  sleep,
  toHeaders,
  toMetadata,
  toRpcError,
  writeMessage,
} from "./conformance-wire.ts";

function toAny<Message>(name: string, type: MessageType<Message>, message: Message): Any {
  const typeUrl = `type.googleapis.com/connectrpc.conformance.v1.${name}`;
  return { typeUrl, value: type.encode(message).finish() };
}

function requestInfo(context: CallContext, requests: Any[]): ConformancePayload_RequestInfo {
  const timeoutMs =
    context.deadlineMs === Number.POSITIVE_INFINITY
      ? undefined
      : BigInt(Math.max(0, Math.floor(context.deadlineMs - performance.now())));
  const requestHeaders = toHeaders(context.metadata);
  return { requestHeaders, timeoutMs, requests, connectGetInfo: undefined };
}

function withInfo(error: ErrorMessage, info: ConformancePayload_RequestInfo | undefined) {
  if (info === undefined) return toRpcError(error);
  const detail = toAny("ConformancePayload.RequestInfo", ConformancePayload_RequestInfo, info);
  return toRpcError({ ...error, details: [...error.details, detail] });
}

async function begin(
  definition: UnaryResponseDefinition | StreamResponseDefinition,
  context: CallContext,
): Promise<void> {
  context.responseEncoding = "gzip";
  context.setTrailers(toMetadata(definition.responseTrailers));
  context.sendHeaders(toMetadata(definition.responseHeaders));
}

async function answerOnce(
  definition: UnaryResponseDefinition | undefined,
  context: CallContext,
  requests: Any[],
): Promise<ConformancePayload> {
  const info = requestInfo(context, requests);
  if (definition === undefined) return { data: new Uint8Array(0), requestInfo: info };
  await begin(definition, context);
  await sleep(definition.responseDelayMs);
  const response = definition.response;
  if (response?.$case === "error") throw withInfo(response.value, info);
  const data = response?.$case === "responseData" ? response.value : new Uint8Array(0);
  return { data, requestInfo: info };
}

/** The responses from `first` on; only the first of all tells about the request. */
async function* answerRest(
  definition: StreamResponseDefinition,
  context: CallContext,
  requests: Any[],
  first: number,
) {
  for (let i = first; i < definition.responseData.length; i++) {
    await sleep(definition.responseDelayMs);
    const info = i === 0 ? { requestInfo: requestInfo(context, requests) } : {};
    yield { payload: { data: definition.responseData[i] as Uint8Array, ...info } };
  }
  if (definition.error === undefined) return;
  const isFirst = first === 0 && definition.responseData.length === 0;
  throw withInfo(definition.error, isFirst ? requestInfo(context, requests) : undefined);
}

async function* answerBidi(requests: AsyncIterable<BidiStreamRequest>, context: CallContext) {
  let definition: StreamResponseDefinition | undefined;
  let isFullDuplex = false;
  let isFirst = true;
  let sent = 0;
  let seen: Any[] = [];
  for await (const request of requests) {
    seen.push(toAny("BidiStreamRequest", BidiStreamRequest, request));
    if (isFirst) {
      isFirst = false;
      definition = request.responseDefinition;
      isFullDuplex = request.fullDuplex;
      if (definition !== undefined) await begin(definition, context);
    }
    if (!isFullDuplex) continue;
    if (definition === undefined || sent >= definition.responseData.length) break;
    const info =
      sent === 0
        ? requestInfo(context, seen)
        : { requestHeaders: [], timeoutMs: undefined, requests: seen, connectGetInfo: undefined };
    await sleep(definition.responseDelayMs);
    yield { payload: { data: definition.responseData[sent] as Uint8Array, requestInfo: info } };
    sent++;
    seen = [];
  }
  if (definition !== undefined) yield* answerRest(definition, context, seen, sent);
}

for await (const message of readMessages()) {
  const request = ServerCompatRequest.decode(message);
  const limit = request.messageReceiveLimit;
  const server = new GrpcServer({ ...(limit > 0 && { maxReceiveMessageBytes: limit }) });
  server.addService(ConformanceServiceDefinition, {
    async unary(unary, context) {
      const requests = [toAny("UnaryRequest", UnaryRequest, unary)];
      return { payload: await answerOnce(unary.responseDefinition, context, requests) };
    },
    async clientStream(stream, context) {
      const requests: Any[] = [];
      let definition: UnaryResponseDefinition | undefined;
      for await (const one of stream) {
        if (requests.length === 0) definition = one.responseDefinition;
        requests.push(toAny("ClientStreamRequest", ClientStreamRequest, one));
      }
      return { payload: await answerOnce(definition, context, requests) };
    },
    async *serverStream(one, context) {
      const definition = one.responseDefinition;
      if (definition === undefined) return;
      await begin(definition, context);
      const requests = [toAny("ServerStreamRequest", ServerStreamRequest, one)];
      yield* answerRest(definition, context, requests, 0);
    },
    bidiStream: answerBidi,
  });
  const credentials = request.serverCreds;
  const clientCa = request.clientTlsCert;
  const tls =
    request.useTls && credentials !== undefined
      ? {
          cert: Buffer.from(credentials.cert),
          key: Buffer.from(credentials.key),
          ...(clientCa.length > 0 && {
            ca: Buffer.from(clientCa),
            requestCert: true,
            rejectUnauthorized: true,
          }),
        }
      : undefined;
  const { port } = await server.listen({ port: 0, tls });
  const pemCert = tls === undefined ? new Uint8Array(0) : (credentials?.cert ?? new Uint8Array(0));
  writeMessage(ServerCompatResponse.encode({ host: "127.0.0.1", port, pemCert }).finish());
}
