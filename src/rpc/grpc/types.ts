// The words that both ends of a gRPC call share, and what a handler sees of a call. Raw calls are
// bytes in and bytes out without a promise (the hot path); typed calls are built on top of them.

import type { StatusCode } from "../../base/status.ts";
import type { Metadata } from "./metadata.ts";

export type MethodKind = "unary" | "client-stream" | "server-stream" | "bidi";

export type Encoding = "identity" | "gzip";

/** A generated message codec. `decode` throws on malformed input. */
export interface MessageType<Message> {
  encode(message: Message): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Message;
  // biome-ignore lint/suspicious/noExplicitAny: generated codecs take their own deep partial type
  fromPartial(partial: any): Message;
}

export interface MethodDefinition {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: the message type is inferred from the definition
  readonly requestType: MessageType<any>;
  readonly requestStream: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: the message type is inferred from the definition
  readonly responseType: MessageType<any>;
  readonly responseStream: boolean;
}

/** What code generation writes for a service, e.g. `KVDefinition`. */
export interface ServiceDefinition {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, MethodDefinition>>;
}

/** The decoded message of a codec. */
export type MessageOf<Type> = Type extends { decode(bytes: Uint8Array): infer Message }
  ? Message
  : never;

/** What may be given where a message is sent: fields that are left out have their default. */
export type MessageInit<Type> = Type extends { fromPartial(partial: infer Partial): unknown }
  ? Partial
  : never;

export interface MethodInfo {
  /** "/package.Service/Method". */
  readonly path: string;
  readonly service: string;
  readonly name: string;
  readonly kind: MethodKind;
}

export interface Peer {
  readonly address: string;
  /** True when the connection is encrypted. */
  readonly secure: boolean;
  /** The peer's certificate as node:tls gives it; undefined without TLS or without a certificate. */
  readonly certificate: unknown;
}

/** What every call on the server offers, raw or typed. */
export interface ServerCall {
  readonly method: MethodInfo;
  /** Request metadata; parsed when first read. */
  readonly metadata: Metadata;
  /** On the clock of the server; Infinity without a deadline. */
  readonly deadlineMs: number;
  /** True once the peer, the deadline or the connection ended the call. */
  readonly cancelled: boolean;
  readonly peer: Peer;
  /** Response headers. At most once and before the first reply or message. */
  sendHeaders(metadata: Metadata): void;
  /** Metadata added to the trailers that end the call. Replaces what was set before. */
  setTrailers(metadata: Metadata): void;
  /**
   * The encoding declared in the response headers; identity unless set before they are sent. It
   * stays identity when the client does not accept the encoding.
   */
  responseEncoding: Encoding;
  /** Whether the request message that was delivered last came compressed. */
  readonly messageCompressed: boolean;
  /** Whether messages sent from now on are compressed, where `responseEncoding` is not identity. */
  compress: boolean;
}

/** One unary call on bytes. Answer it exactly once, now or later, with `reply` or `fail`. */
export interface RawUnaryCall extends ServerCall {
  /** Ends the call with OK and this message. Ignored when the call was cancelled. The bytes must not change afterwards. */
  reply(source: Uint8Array, start: number, end: number): void;
  /** As `reply`, with a message that is the parts one after another; for large ones. */
  replyParts(parts: readonly Uint8Array[]): void;
  fail(code: StatusCode, message: string, trailers?: Metadata): void;
  /** Called at most once, and never after an answer. */
  onCancel: (() => void) | undefined;
  /** Free for the handler's use. */
  ticket: number;
}

export type RawUnaryHandler = (
  call: RawUnaryCall,
  message: Buffer,
  start: number,
  end: number,
) => void;

/** One streaming call on bytes. */
export interface RawStreamCall extends ServerCall {
  /**
   * Queues one message. Returns false when the output is over its bound: the caller should wait for
   * `onDrain`; what it writes regardless is still queued. Bytes must not change afterwards.
   */
  write(source: Uint8Array, start: number, end: number): boolean;
  /** One message out of several parts, copied before the call returns. */
  writeParts(parts: readonly Uint8Array[]): boolean;
  /**
   * Several messages back to back, each behind its 5-byte prefix (0, length): what a stream with many small
   * messages gathers and hands over at once. Sent as they are, without compression or a size check.
   */
  writeFramed(source: Uint8Array, start: number, end: number, messages: number): boolean;
  /** Ends the call; nothing is written or received afterwards. */
  end(code: StatusCode, message: string, trailers?: Metadata): void;
  /** Stops messages from being delivered, and in the end the peer from sending. */
  pause(): void;
  resume(): void;
  readonly bufferedBytes: number;
}

/** What a streaming call tells its handler. Nothing comes after `end()` or `onCancel`. */
export interface RawStreamHandler {
  onMessage(message: Buffer, start: number, end: number): void;
  /** The client will send no more messages. */
  onHalfClose(): void;
  onCancel(): void;
  /** Output fell under its bound after a `write` returned false. */
  onDrain(): void;
}

export type RawStreamOpener = (call: RawStreamCall) => RawStreamHandler;

/** What a typed handler sees of its call. */
export interface CallContext extends ServerCall {
  /** Aborts when the call is cancelled, its deadline passes or the connection is lost. */
  readonly signal: AbortSignal;
}

/** The typed handler of a method, from its generated definition. */
export type MethodHandler<Method extends MethodDefinition> = Method["requestStream"] extends true
  ? Method["responseStream"] extends true
    ? (
        requests: AsyncIterable<MessageOf<Method["requestType"]>>,
        context: CallContext,
      ) => AsyncIterable<MessageInit<Method["responseType"]>>
    : (
        requests: AsyncIterable<MessageOf<Method["requestType"]>>,
        context: CallContext,
      ) => Promise<MessageInit<Method["responseType"]>>
  : Method["responseStream"] extends true
    ? (
        request: MessageOf<Method["requestType"]>,
        context: CallContext,
      ) => AsyncIterable<MessageInit<Method["responseType"]>>
    : (
        request: MessageOf<Method["requestType"]>,
        context: CallContext,
      ) => MessageInit<Method["responseType"]> | Promise<MessageInit<Method["responseType"]>>;

/** Handlers by the names of the definition; methods left out answer UNIMPLEMENTED. */
export type ServiceHandlers<Service extends ServiceDefinition> = {
  readonly [Name in keyof Service["methods"]]?: MethodHandler<Service["methods"][Name]>;
};

/** Told how a call ended; a client's cancel counts as CANCELLED. */
export interface CallObserver {
  onEnd(code: StatusCode, message: string): void;
}

/** Message in, message or stream of messages out; what a typed handler looks like to `wrap`. */
// biome-ignore lint/suspicious/noExplicitAny: an interceptor sees messages of every type
export type AnyHandler = (request: any, context: CallContext) => any;

export interface ServerInterceptor {
  /**
   * Runs for every call, raw or typed, before its handler. Throw a StatusError to refuse the call.
   * May return an observer.
   */
  begin?(call: ServerCall): CallObserver | undefined;
  /** Wraps the handler of a typed method, once, when it is registered. */
  wrap?(method: MethodInfo, handler: AnyHandler): AnyHandler;
}

export interface CallOptions {
  readonly metadata?: Metadata;
  readonly signal?: AbortSignal;
  /** From now. */
  readonly timeoutMs?: number;
  /** On the clock of the channel. The sooner of the two counts. */
  readonly deadlineMs?: number;
  /** Waits for a connection instead of failing with UNAVAILABLE when there is none to be had. */
  readonly waitForReady?: boolean;
  /** How request messages are compressed. */
  readonly encoding?: Encoding;
  readonly maxReceiveMessageBytes?: number;
  readonly maxSendMessageBytes?: number;
  readonly onHeaders?: (headers: Metadata) => void;
  /** Called before the call settles, also when it fails. */
  readonly onTrailers?: (trailers: Metadata) => void;
}

export interface WriteOptions {
  /** False sends this message as it is although the call has an encoding. */
  readonly compress?: boolean;
}

/** A stream of replies. Leaving the loop early cancels the call. Iterate once. */
export interface ServerStream<Response> extends AsyncIterable<Response> {
  /** Resolves with the response headers; rejects when the call fails before they came. */
  readonly headers: Promise<Metadata>;
  /** Resolves when the call has ended, however it ended. */
  readonly trailers: Promise<Metadata>;
  cancel(): void;
}

/** A stream of requests with one reply. */
export interface ClientStream<Request, Response> {
  /** Resolves when the message may be followed by another; rejects when the call has ended. */
  write(request: Request, options?: WriteOptions): Promise<void>;
  end(): void;
  readonly response: Promise<Response>;
  readonly headers: Promise<Metadata>;
  readonly trailers: Promise<Metadata>;
  cancel(): void;
}

export interface BidiStream<Request, Response> extends ServerStream<Response> {
  write(request: Request, options?: WriteOptions): Promise<void>;
  end(): void;
}

/** The client's form of a method. */
export type ClientMethod<Method extends MethodDefinition> = Method["requestStream"] extends true
  ? Method["responseStream"] extends true
    ? (
        options?: CallOptions,
      ) => BidiStream<MessageInit<Method["requestType"]>, MessageOf<Method["responseType"]>>
    : (
        options?: CallOptions,
      ) => ClientStream<MessageInit<Method["requestType"]>, MessageOf<Method["responseType"]>>
  : Method["responseStream"] extends true
    ? (
        request: MessageInit<Method["requestType"]>,
        options?: CallOptions,
      ) => ServerStream<MessageOf<Method["responseType"]>>
    : (
        request: MessageInit<Method["requestType"]>,
        options?: CallOptions,
      ) => Promise<MessageOf<Method["responseType"]>>;

export type Client<Service extends ServiceDefinition> = {
  readonly [Name in keyof Service["methods"]]: ClientMethod<Service["methods"][Name]>;
};

export type ChannelState = "IDLE" | "CONNECTING" | "READY" | "TRANSIENT_FAILURE" | "SHUTDOWN";

/** What a call on the client tells its owner. `onEnd` comes exactly once and last. */
export interface ClientCallListener {
  onHeaders(headers: Metadata): void;
  /** `compressed` tells how it came; the message itself is expanded. */
  onMessage(message: Buffer, start: number, end: number, compressed: boolean): void;
  /** Output fell under its bound after a `write` returned false. */
  onDrain(): void;
  onEnd(code: StatusCode, message: string, trailers: Metadata): void;
}

/** One call on the client, on bytes. Nothing has an effect after `onEnd`. */
export interface ClientCallHandle {
  /** Queues one message; false when the caller should wait for `onDrain`. Bytes must not change afterwards. */
  write(source: Uint8Array, start: number, end: number, options?: WriteOptions): boolean;
  /** No more messages will be written. */
  halfClose(): void;
  /** Ends the call with CANCELLED, here and at the server. */
  cancel(reason?: string): void;
  /** Stops `onMessage` (and `onEnd`), and in the end the server from sending. */
  pause(): void;
  resume(): void;
}

/** Begins a call. */
export type StartCall = (
  method: MethodInfo,
  options: CallOptions,
  listener: ClientCallListener,
) => ClientCallHandle;

/** Wraps every call of a channel: change options, watch or replace the listener, start again. */
export type ClientInterceptor = (next: StartCall) => StartCall;
