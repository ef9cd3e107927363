// Typed handlers on top of raw calls: decoding, encoding, promises and async iteration. Errors out of
// a handler become the status of the call; a StatusError leaves as it is, anything else as INTERNAL.

import { Status, StatusError } from "../../base/status.ts";
import { MessageQueue } from "./message-queue.ts";
import { RpcError } from "./rpc-error.ts";
import type {
  AnyHandler,
  CallContext,
  MessageType,
  MethodDefinition,
  MethodInfo,
  MethodKind,
  RawStreamCall,
  RawStreamHandler,
  RawStreamOpener,
  RawUnaryHandler,
} from "./types.ts";

/** Ends a call by an exception; the server decides what it says. */
export type EndWithError = (
  call: RawStreamCall | Parameters<RawUnaryHandler>[0],
  error: unknown,
) => void;

export function kindOf(method: MethodDefinition): MethodKind {
  if (method.requestStream) return method.responseStream ? "bidi" : "client-stream";
  return method.responseStream ? "server-stream" : "unary";
}

export function unimplementedHandler(info: MethodInfo): AnyHandler {
  return () => {
    throw new StatusError(Status.UNIMPLEMENTED, `method ${info.name} not implemented`);
  };
}

/** The raw form of a unary handler. */
export function typedUnary(
  definition: MethodDefinition,
  handler: AnyHandler,
  endWithError: EndWithError,
): RawUnaryHandler {
  return (call, message, start, end) => {
    const request = decodeMessage(definition.requestType, message, start, end);
    const result: unknown = handler(request, call as unknown as CallContext);
    const send = (response: unknown) => {
      if (call.cancelled) return;
      const bytes = encodeMessage(definition.responseType, response);
      call.reply(bytes, 0, bytes.length);
    };
    if (!isPromise(result)) {
      send(result);
      return;
    }
    result.then(send).catch((error: unknown) => endWithError(call, error));
  };
}

/** The raw form of a handler of any kind of stream. */
export function typedStream(
  definition: MethodDefinition,
  handler: AnyHandler,
  endWithError: EndWithError,
): RawStreamOpener {
  return (call) => new TypedStream(call, definition, handler, endWithError);
}

class TypedStream implements RawStreamHandler {
  readonly #call: RawStreamCall;
  readonly #definition: MethodDefinition;
  readonly #handler: AnyHandler;
  readonly #endWithError: EndWithError;
  /** Undefined for a method that takes one request. */
  readonly #requests: MessageQueue<unknown> | undefined;
  #onDrained: (() => void) | undefined;
  #onCancelled: (() => void) | undefined;
  #cancelled = false;

  constructor(
    call: RawStreamCall,
    definition: MethodDefinition,
    handler: AnyHandler,
    endWithError: EndWithError,
  ) {
    this.#call = call;
    this.#definition = definition;
    this.#handler = handler;
    this.#endWithError = endWithError;
    if (!definition.requestStream) return;
    // A handler that leaves its requests unread still answers: the rest is read and dropped.
    this.#requests = new MessageQueue({
      pause: () => call.pause(),
      resume: () => call.resume(),
      onAbandoned: () => call.resume(),
    });
    // Later, so that the call has its handler before the handler writes or ends it.
    queueMicrotask(() => void this.#run(this.#requests));
  }

  onMessage(message: Buffer, start: number, end: number): void {
    const request = decodeMessage(this.#definition.requestType, message, start, end);
    if (this.#requests === undefined) void this.#run(request);
    else this.#requests.push(request, end - start);
  }

  onHalfClose(): void {
    this.#requests?.finish();
  }

  onCancel(): void {
    this.#cancelled = true;
    this.#requests?.finish(new StatusError(Status.CANCELLED, "the call was cancelled"));
    this.#onCancelled?.();
    this.#onDrained?.();
  }

  onDrain(): void {
    this.#onDrained?.();
  }

  async #run(request: unknown): Promise<void> {
    if (this.#cancelled) return;
    const call = this.#call;
    try {
      const result = this.#handler(request, call as unknown as CallContext);
      if (this.#definition.responseStream) await this.#sendAll(result as AsyncIterable<unknown>);
      else await this.#send(await result);
      if (!this.#cancelled) call.end(Status.OK, "");
    } catch (error) {
      this.#endWithError(call, error);
    }
  }

  async #sendAll(responses: AsyncIterable<unknown>): Promise<void> {
    const iterator = responses[Symbol.asyncIterator]();
    for (;;) {
      const result = await this.#nextOf(iterator);
      if (result === undefined || this.#cancelled) {
        // Not awaited: a generator that hangs in its own wait would hold this up for ever.
        iterator.return?.()?.catch(() => undefined);
        return;
      }
      if (result.done) return;
      try {
        await this.#send(result.value);
      } catch (error) {
        iterator.return?.()?.catch(() => undefined);
        throw error;
      }
    }
  }

  /**
   * Undefined when the call is cancelled first. No race with one promise for the whole call: that would keep every
   * response until the call ends.
   */
  #nextOf(iterator: AsyncIterator<unknown>): Promise<IteratorResult<unknown> | undefined> {
    return new Promise((resolve, reject) => {
      this.#onCancelled = () => resolve(undefined);
      if (this.#cancelled) resolve(undefined);
      else iterator.next().then(resolve, reject);
    });
  }

  async #send(response: unknown): Promise<void> {
    if (this.#cancelled) return;
    const bytes = encodeMessage(this.#definition.responseType, response);
    if (this.#call.write(bytes, 0, bytes.length)) return;
    await new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    this.#onDrained = undefined;
  }
}

/** Throws a StatusError INTERNAL on malformed bytes. */
export function decodeMessage<Message>(
  type: MessageType<Message>,
  source: Uint8Array,
  start: number,
  end: number,
): Message {
  try {
    return type.decode(source.subarray(start, end));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RpcError(
      Status.INTERNAL,
      `grpc: failed to unmarshal the received message: ${reason}`,
      undefined,
      { cause: error },
    );
  }
}

export function encodeMessage<Message>(type: MessageType<Message>, partial: unknown): Uint8Array {
  return type.encode(type.fromPartial(partial ?? {})).finish();
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof (value as { then?: unknown } | undefined)?.then === "function";
}
