// A StatusError that also carries metadata: on the server what goes into the trailers, on the client
// the trailers that came.

import { Status, type StatusCode, StatusError } from "../../base/status.ts";
import { Metadata } from "./metadata.ts";

export class RpcError extends StatusError {
  readonly metadata: Metadata;

  constructor(code: StatusCode, message: string, metadata?: Metadata, options?: ErrorOptions) {
    super(code, message, options);
    this.metadata = metadata ?? new Metadata();
  }
}

/** The `metadata` of a call that failed before any of it was sent, and only of such a one. */
export const unsentTrailers = new Metadata();

/** What a peer is told about an unknown exception. */
export const unexpectedErrorMessage = "internal error";

/**
 * What an exception out of a handler means to the caller. Anything but a StatusError is our own
 * affair and leaves as INTERNAL with a generic text; then `unexpected` is true.
 */
export function statusOfError(error: unknown): {
  readonly code: StatusCode;
  readonly message: string;
  readonly metadata: Metadata | undefined;
  readonly unexpected: boolean;
} {
  if (error instanceof StatusError) {
    const metadata = error instanceof RpcError ? error.metadata : undefined;
    return { code: error.code, message: error.message, metadata, unexpected: false };
  }
  return {
    code: Status.INTERNAL,
    message: unexpectedErrorMessage,
    metadata: undefined,
    unexpected: true,
  };
}
