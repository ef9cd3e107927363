// The client's side of a call with one reply: settles a promise's two functions.

import { Status, type StatusCode } from "../../base/status.ts";
import { ClientCall } from "./client-call.ts";
import type { Metadata } from "./metadata.ts";
import { RpcError, statusOfError } from "./rpc-error.ts";
import type { CallOptions, ClientCallHandle, ClientCallListener } from "./types.ts";

export class UnaryListener<Response> implements ClientCallListener {
  readonly #decode: (source: Buffer, start: number, end: number) => Response;
  readonly #options: CallOptions;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: RpcError) => void;
  #call: ClientCallHandle | undefined;
  #messages = 0;
  #response: Response | undefined;
  #failure: RpcError | undefined;

  /** `decode` may throw a StatusError, which fails the call. */
  constructor(
    decode: (source: Buffer, start: number, end: number) => Response,
    options: CallOptions,
    resolve: (response: Response) => void,
    reject: (error: RpcError) => void,
  ) {
    this.#decode = decode;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Sends the one request of a unary call. */
  begin(call: ClientCallHandle, message: Uint8Array): void {
    this.#call = call;
    if (call instanceof ClientCall) {
      call.writeLast(message, 0, message.length);
    } else {
      call.write(message, 0, message.length);
      call.halfClose();
    }
  }

  /** For calls whose requests are written elsewhere. */
  attach(call: ClientCallHandle): void {
    this.#call = call;
  }

  onHeaders(headers: Metadata): void {
    this.#options.onHeaders?.(headers);
  }

  onMessage(message: Buffer, start: number, end: number): void {
    if (this.#failure !== undefined) return;
    this.#messages++;
    if (this.#messages > 1) {
      this.#fail(new RpcError(Status.UNIMPLEMENTED, "received more than one response message"));
      return;
    }
    try {
      this.#response = this.#decode(message, start, end);
    } catch (error) {
      const status = statusOfError(error);
      this.#fail(new RpcError(status.code, status.message, undefined, { cause: error }));
    }
  }

  onDrain(): void {}

  onEnd(code: StatusCode, message: string, trailers: Metadata): void {
    this.#options.onTrailers?.(trailers);
    if (this.#failure !== undefined) this.#reject(this.#failure);
    else if (code !== Status.OK) this.#reject(new RpcError(code, message, trailers));
    else if (this.#messages === 0) {
      const text = "received no response message";
      this.#reject(new RpcError(Status.UNIMPLEMENTED, text, trailers));
    } else {
      this.#resolve(this.#response as Response);
    }
  }

  #fail(error: RpcError): void {
    this.#failure = error;
    this.#call?.cancel();
  }
}
