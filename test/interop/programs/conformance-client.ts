// Connect's conformance client: makes the calls that come on stdin and reports each on stdout.

import { Channel } from "../../../src/rpc/grpc/channel.ts";
import { createClient } from "../../../src/rpc/grpc/client.ts";
import { Metadata } from "../../../src/rpc/grpc/metadata.ts";
import { RpcError } from "../../../src/rpc/grpc/rpc-error.ts";
import type { CallOptions, Client } from "../../../src/rpc/grpc/types.ts";
import {
  ClientCompatRequest,
  ClientCompatResponse,
  ClientResponseResult,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/client_compat.ts";
import {
  Compression,
  StreamType,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/config.ts";
import {
  BidiStreamRequest,
  ClientStreamRequest,
  ConformancePayload,
  ConformanceServiceDefinition,
  ServerStreamRequest,
  UnaryRequest,
  UnimplementedRequest,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/service.ts";
import {
  readMessages,
  sleep,
  toErrorMessage,
  toHeaders,
  toMetadata,
  writeMessage,
} from "./conformance-wire.ts";

type ConformanceClient = Client<typeof ConformanceServiceDefinition>;

type Replies = AsyncIterator<{
  payload?: ClientResponseResult["payloads"][number] | undefined;
}>;

const noPayload = ConformancePayload.fromPartial({});
const callsMax = 16;
const channels = new Map<string, Channel>();

function channelFor(request: ClientCompatRequest): Channel {
  const { host, port, serverTlsCert, clientTlsCreds } = request;
  const ca = Buffer.from(serverTlsCert);
  const key = `${host}:${port} ${ca.toString("latin1")} ${clientTlsCreds === undefined}`;
  let channel = channels.get(key);
  if (channel === undefined) {
    const credentials = clientTlsCreds && {
      cert: Buffer.from(clientTlsCreds.cert),
      key: Buffer.from(clientTlsCreds.key),
    };
    const tls = ca.length > 0 ? { ca, ...credentials } : undefined;
    channel = new Channel(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`, { tls });
    channels.set(key, channel);
  }
  return channel;
}

/** One call on its way to a result. */
class Invocation {
  readonly request: ClientCompatRequest;
  readonly client: ConformanceClient;
  readonly result = ClientResponseResult.fromPartial({});
  readonly abort = new AbortController();
  readonly options: CallOptions;

  constructor(request: ClientCompatRequest, client: ConformanceClient) {
    this.request = request;
    this.client = client;
    this.options = {
      metadata: toMetadata(request.requestHeaders),
      signal: this.abort.signal,
      ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }),
      ...(request.messageReceiveLimit > 0 && {
        maxReceiveMessageBytes: request.messageReceiveLimit,
      }),
      encoding: request.compression === Compression.COMPRESSION_GZIP ? "gzip" : "identity",
      onHeaders: (headers) => {
        this.result.responseHeaders = toHeaders(headers);
      },
      onTrailers: (trailers) => {
        const own = new Metadata();
        own.merge(trailers);
        own.delete("grpc-status-details-bin");
        this.result.responseTrailers = toHeaders(own);
      },
    };
  }

  async run(): Promise<ClientResponseResult> {
    try {
      await this.#call();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.result.error = toErrorMessage(error);
    }
    return this.result;
  }

  async #call(): Promise<void> {
    const [first] = this.request.requestMessages;
    const bytes = first?.value ?? new Uint8Array(0);
    switch (this.request.method) {
      case "Unary": {
        this.#cancelAfterClose();
        const response = await this.client.unary(UnaryRequest.decode(bytes), this.options);
        this.result.payloads.push(response.payload ?? noPayload);
        return;
      }
      case "Unimplemented":
        await this.client.unimplemented(UnimplementedRequest.decode(bytes), this.options);
        return;
      case "ServerStream": {
        const call = this.client.serverStream(ServerStreamRequest.decode(bytes), this.options);
        this.#cancelAfterClose();
        await this.#readAll(call[Symbol.asyncIterator]());
        return;
      }
      case "ClientStream":
        return this.#clientStream();
      case "BidiStream":
        return this.#bidiStream();
      default:
        throw new Error(`no such method: ${this.request.method}`);
    }
  }

  async #clientStream(): Promise<void> {
    const call = this.client.clientStream(this.options);
    const response = call.response;
    response.catch(() => undefined);
    for (const { value } of this.request.requestMessages) {
      await sleep(this.request.requestDelayMs);
      try {
        await call.write(ClientStreamRequest.decode(value));
      } catch {
        break;
      }
    }
    if (this.#cancelsBeforeClose) this.abort.abort();
    else call.end();
    this.#cancelAfterClose();
    const { payload } = await response;
    this.result.payloads.push(payload ?? noPayload);
  }

  async #bidiStream(): Promise<void> {
    const call = this.client.bidiStream(this.options);
    const replies = call[Symbol.asyncIterator]();
    const isFullDuplex = this.request.streamType === StreamType.STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM;
    for (const { value } of this.request.requestMessages) {
      await sleep(this.request.requestDelayMs);
      try {
        await call.write(BidiStreamRequest.decode(value));
      } catch {
        break;
      }
      if (isFullDuplex && !(await this.#readOne(replies))) return;
    }
    if (this.#cancelsBeforeClose) this.abort.abort();
    else call.end();
    this.#cancelAfterClose();
    await this.#readAll(replies);
  }

  async #readAll(replies: Replies): Promise<void> {
    while (await this.#readOne(replies));
  }

  /** False at the end of the replies. */
  async #readOne(replies: Replies): Promise<boolean> {
    const reply = await replies.next();
    if (reply.done) return false;
    const { payloads } = this.result;
    payloads.push(reply.value.payload ?? noPayload);
    const timing = this.request.cancel?.cancelTiming;
    if (timing?.$case === "afterNumResponses" && payloads.length === timing.value) {
      this.abort.abort();
    }
    return true;
  }

  get #cancelsBeforeClose(): boolean {
    return this.request.cancel?.cancelTiming?.$case === "beforeCloseSend";
  }

  #cancelAfterClose(): void {
    const { cancel } = this.request;
    if (cancel === undefined) return;
    const timing = cancel.cancelTiming;
    if (timing === undefined) this.abort.abort();
    else if (timing.$case === "afterCloseSendMs") {
      setTimeout(() => this.abort.abort(), timing.value);
    }
  }
}

async function report(request: ClientCompatRequest): Promise<void> {
  let response: Partial<ClientCompatResponse>;
  try {
    const client = createClient(ConformanceServiceDefinition, channelFor(request));
    const result = await new Invocation(request, client).run();
    response = { result: { $case: "response", value: result } };
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    response = { result: { $case: "error", value: { message } } };
  }
  const whole = ClientCompatResponse.fromPartial({ testName: request.testName, ...response });
  writeMessage(ClientCompatResponse.encode(whole).finish());
}

const running = new Set<Promise<void>>();
for await (const message of readMessages()) {
  const call = report(ClientCompatRequest.decode(message)).finally(() => running.delete(call));
  running.add(call);
  if (running.size >= callsMax) await Promise.race(running);
}
await Promise.all(running);
for (const channel of channels.values()) void channel.close();
