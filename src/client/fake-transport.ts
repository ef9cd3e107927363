// A transport without a network, for tests: unary calls are answered by functions, streams are driven by
// hand.

import { Status, StatusError } from "../base/status.ts";
import type { BidiStream, CallOptions } from "../rpc/grpc/types.ts";
import type { Transport } from "./transport.ts";

/** One bidirectional stream as the test, in the server's place, sees it. */
export class FakeStream<Request, Response> {
  readonly requests: Request[] = [];
  readonly options: CallOptions;
  #responses: Response[] = [];
  #failure: StatusError | undefined;
  #ended = false;
  #wake: (() => void) | undefined;
  #onRequest: (() => void) | undefined;

  constructor(options: CallOptions = {}) {
    this.options = options;
    if (options.signal?.aborted) this.fail(cancelled());
    options.signal?.addEventListener("abort", () => this.fail(cancelled()), { once: true });
  }

  get ended(): boolean {
    return this.#ended;
  }

  respond(response: Response): void {
    this.#responses.push(response);
    this.#wake?.();
  }

  fail(error: StatusError): void {
    if (this.#ended) return;
    this.#failure = error;
    this.#ended = true;
    this.#wake?.();
  }

  /** Resolves once `count` requests have been written. */
  async written(count: number): Promise<Request[]> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => {
        this.#onRequest = resolve;
      });
    }
    return this.requests;
  }

  /** The client's end. */
  asBidi(): BidiStream<Request, Response> {
    const never = new Promise<never>(() => {});
    return {
      headers: never,
      trailers: never,
      write: async (request) => {
        if (this.#ended) throw cancelled();
        this.requests.push(request);
        this.#onRequest?.();
      },
      end: () => {},
      cancel: () => this.fail(cancelled()),
      [Symbol.asyncIterator]: () => this.#read(),
    };
  }

  async *#read(): AsyncGenerator<Response, void> {
    for (;;) {
      const response = this.#responses.shift();
      if (response !== undefined) {
        yield response;
      } else if (this.#failure) {
        throw this.#failure;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** Missing methods answer UNIMPLEMENTED. */
export function fakeTransport(
  services: {
    readonly [Service in "kv" | "watch" | "lease" | "cluster" | "maintenance" | "auth"]?: Partial<
      Transport[Service]
    >;
  },
): Transport {
  const service = (methods: object | undefined) =>
    new Proxy(methods ?? {}, {
      get: (target, name) =>
        Reflect.get(target, name) ??
        (() => Promise.reject(new StatusError(Status.UNIMPLEMENTED, `No ${String(name)} here`))),
    }) as never;
  return {
    kv: service(services.kv),
    watch: service(services.watch),
    lease: service(services.lease),
    cluster: service(services.cluster),
    maintenance: service(services.maintenance),
    auth: service(services.auth),
    wasNotExecuted: (error) => error.message.startsWith("not sent"),
    close: async () => {},
  };
}

function cancelled(): StatusError {
  return new StatusError(Status.CANCELLED, "stream was cancelled");
}
