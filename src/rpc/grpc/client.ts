// Typed clients: the methods of a generated definition as functions on a channel.

import { Status, type StatusCode } from "../../base/status.ts";
import type { Channel } from "./channel.ts";
import { MessageQueue } from "./message-queue.ts";
import type { Metadata } from "./metadata.ts";
import { RpcError, statusOfError } from "./rpc-error.ts";
import { decodeMessage, encodeMessage, kindOf } from "./typed-service.ts";
import type {
  BidiStream,
  CallOptions,
  Client,
  ClientCallHandle,
  ClientCallListener,
  ClientStream,
  MethodDefinition,
  MethodInfo,
  ServerStream,
  ServiceDefinition,
  WriteOptions,
} from "./types.ts";
import { UnaryListener } from "./unary-listener.ts";

/** One function for each method of `service`. Failed calls reject with an RpcError. */
export function createClient<Service extends ServiceDefinition>(
  service: Service,
  channel: Channel,
): Client<Service> {
  const client: Record<string, unknown> = {};
  for (const [key, definition] of Object.entries(service.methods)) {
    const info: MethodInfo = {
      path: `/${service.fullName}/${definition.name}`,
      service: service.fullName,
      name: definition.name,
      kind: kindOf(definition),
    };
    client[key] = clientMethod(channel, definition, info);
  }
  return client as Client<Service>;
}

function clientMethod(channel: Channel, definition: MethodDefinition, info: MethodInfo): unknown {
  switch (info.kind) {
    case "unary":
      return (request: unknown, options: CallOptions = {}) =>
        callUnary(channel, definition, info, request, options);
    case "server-stream":
      return (request: unknown, options: CallOptions = {}): ServerStream<unknown> => {
        const stream = new TypedClientStream(channel, definition, info, options);
        stream.writeOnly(request);
        return stream;
      };
    case "client-stream":
      return (options: CallOptions = {}): ClientStream<unknown, unknown> =>
        new TypedClientStream(channel, definition, info, options);
    case "bidi":
      return (options: CallOptions = {}): BidiStream<unknown, unknown> =>
        new TypedClientStream(channel, definition, info, options);
  }
}

function callUnary(
  channel: Channel,
  definition: MethodDefinition,
  info: MethodInfo,
  request: unknown,
  options: CallOptions,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const message = encodeMessage(definition.requestType, request);
    const listener = new UnaryListener(
      (source, start, end) => decodeMessage(definition.responseType, source, start, end),
      options,
      resolve,
      reject,
    );
    listener.begin(channel.start(info, options, listener), message);
  });
}

/** All three kinds of stream; the types say which methods each one offers. */
class TypedClientStream implements BidiStream<unknown, unknown>, ClientStream<unknown, unknown> {
  readonly headers: Promise<Metadata>;
  readonly trailers: Promise<Metadata>;
  readonly #definition: MethodDefinition;
  readonly #options: CallOptions;
  readonly #call: ClientCallHandle;
  readonly #responses: MessageQueue<unknown>;
  readonly #drains: { resolve: () => void; reject: (error: RpcError) => void }[] = [];
  #isFull = false;
  #error: RpcError | undefined;
  #ended = false;
  #resolveHeaders!: (headers: Metadata) => void;
  #rejectHeaders!: (error: RpcError) => void;
  #resolveTrailers!: (trailers: Metadata) => void;
  #responsePromise: Promise<unknown> | undefined;

  constructor(
    channel: Channel,
    definition: MethodDefinition,
    info: MethodInfo,
    options: CallOptions,
  ) {
    this.#definition = definition;
    this.#options = options;
    this.headers = new Promise((resolve, reject) => {
      this.#resolveHeaders = resolve;
      this.#rejectHeaders = reject;
    });
    this.trailers = new Promise((resolve) => {
      this.#resolveTrailers = resolve;
    });
    // Whoever does not ask for the headers must not be told by an unhandled rejection.
    this.headers.catch(() => undefined);
    this.#responses = new MessageQueue({
      pause: () => this.#call.pause(),
      resume: () => this.#call.resume(),
      onAbandoned: () => this.#call.cancel(),
    });
    const listener: ClientCallListener = {
      onHeaders: (headers) => this.#onHeaders(headers),
      onMessage: (message, start, end) => this.#onMessage(message, start, end),
      onDrain: () => this.#onDrain(),
      onEnd: (code, message, trailers) => this.#onEnd(code, message, trailers),
    };
    this.#call = channel.start(info, options, listener);
  }

  /** The one reply of a client-streaming call. */
  get response(): Promise<unknown> {
    this.#responsePromise ??= this.#takeSingle();
    return this.#responsePromise;
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown, undefined> {
    return this.#responses;
  }

  write(request: unknown, options?: WriteOptions): Promise<void> {
    if (this.#ended) return Promise.reject(this.#error ?? endedError());
    const bytes = encodeMessage(this.#definition.requestType, request);
    this.#isFull = !this.#call.write(bytes, 0, bytes.length, options);
    if (!this.#isFull) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drains.push({ resolve, reject }));
  }

  /** The only request of a server-streaming call. */
  writeOnly(request: unknown): void {
    const bytes = encodeMessage(this.#definition.requestType, request);
    this.#call.write(bytes, 0, bytes.length);
    this.#call.halfClose();
  }

  end(): void {
    this.#call.halfClose();
  }

  cancel(): void {
    this.#call.cancel();
  }

  #onHeaders(headers: Metadata): void {
    this.#options.onHeaders?.(headers);
    this.#resolveHeaders(headers);
  }

  #onMessage(message: Buffer, start: number, end: number): void {
    try {
      const response = decodeMessage(this.#definition.responseType, message, start, end);
      this.#responses.push(response, end - start);
    } catch (error) {
      const status = statusOfError(error);
      this.#error = new RpcError(status.code, status.message, undefined, { cause: error });
      this.#call.cancel();
    }
  }

  #onDrain(): void {
    this.#isFull = false;
    for (const drain of this.#drains.splice(0)) drain.resolve();
  }

  #onEnd(code: StatusCode, message: string, trailers: Metadata): void {
    this.#ended = true;
    this.#options.onTrailers?.(trailers);
    if (code !== Status.OK) this.#error ??= new RpcError(code, message, trailers);
    for (const drain of this.#drains.splice(0)) drain.reject(this.#error ?? endedError());
    this.#rejectHeaders(this.#error ?? endedError());
    this.#resolveTrailers(trailers);
    this.#responses.finish(this.#error);
  }

  async #takeSingle(): Promise<unknown> {
    const first = await this.#responses.next();
    if (first.done) throw new RpcError(Status.UNIMPLEMENTED, "received no response message");
    const second = await this.#responses.next();
    if (second.done) return first.value;
    this.#call.cancel();
    throw new RpcError(Status.UNIMPLEMENTED, "received more than one response message");
  }
}

/** For writes after an end that was no failure. */
function endedError(): RpcError {
  return new RpcError(Status.CANCELLED, "the call has ended");
}
