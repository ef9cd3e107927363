// The errors of the client: one class with a gRPC code and a stable reason, so that nobody has to
// compare texts. The reason is the name of etcd's status where the text is one of them, else the
// name of the code.

import { Status, type StatusCode, StatusError } from "../base/status.ts";
import { type EtcdErrorName, EtcdErrors } from "../wire/errors.ts";

const REASONS_BY_CODE = {
  [Status.OK]: "unknown",
  [Status.CANCELLED]: "canceled",
  [Status.UNKNOWN]: "unknown",
  [Status.INVALID_ARGUMENT]: "invalidArgument",
  [Status.DEADLINE_EXCEEDED]: "deadlineExceeded",
  [Status.NOT_FOUND]: "notFound",
  [Status.ALREADY_EXISTS]: "alreadyExists",
  [Status.PERMISSION_DENIED]: "permissionDenied",
  [Status.RESOURCE_EXHAUSTED]: "resourceExhausted",
  [Status.FAILED_PRECONDITION]: "failedPrecondition",
  [Status.ABORTED]: "aborted",
  [Status.OUT_OF_RANGE]: "outOfRange",
  [Status.UNIMPLEMENTED]: "unimplemented",
  [Status.INTERNAL]: "internal",
  [Status.UNAVAILABLE]: "unavailable",
  [Status.DATA_LOSS]: "dataLoss",
  [Status.UNAUTHENTICATED]: "unauthenticated",
} as const satisfies Record<StatusCode, string>;

type CodeReason = (typeof REASONS_BY_CODE)[StatusCode];

/** Why a call failed, e.g. "compacted", "leaseNotFound", "unavailable". Stable: branch on this. */
export type ErrorReason = EtcdErrorName | CodeReason | "leaseLost" | "closed";

const reasonsByText: ReadonlyMap<string, EtcdErrorName> = new Map(
  Object.entries(EtcdErrors).map(([name, error]) => [error.message, name as EtcdErrorName]),
);

/** Every failure of a client's call that is not the caller's bug. */
export class PortalError extends StatusError {
  override readonly name: string = "PortalError";
  readonly reason: ErrorReason;
  /** True when it is certain that the server did not act on the call. */
  readonly notExecuted: boolean;

  constructor(
    code: StatusCode,
    message: string,
    options: ErrorOptions & { readonly reason?: ErrorReason; readonly notExecuted?: boolean } = {},
  ) {
    super(code, message, options);
    this.reason = options.reason ?? reasonOf(code, message);
    this.notExecuted = options.notExecuted ?? false;
  }
}

/** A watch or a read wanted history that has been compacted away. */
export class CompactedError extends PortalError {
  override readonly name = "CompactedError";
  /** The oldest revision that can still be watched; 0 when the server did not say. */
  readonly compactRevision: number;

  constructor(compactRevision: number, options: ErrorOptions = {}) {
    super(EtcdErrors.compacted.code, EtcdErrors.compacted.message, options);
    this.compactRevision = compactRevision;
  }
}

/** A lease ended before its holder let it go: it expired, was revoked, or could not be renewed in time. */
export class LeaseLostError extends PortalError {
  override readonly name = "LeaseLostError";
  readonly leaseId: bigint;

  constructor(leaseId: bigint, why: string, options: ErrorOptions = {}) {
    super(Status.NOT_FOUND, `Lease ${leaseId.toString(16)} is lost: ${why}`, {
      ...options,
      reason: "leaseLost",
    });
    this.leaseId = leaseId;
  }
}

/** The client, watcher or lease was closed while the call ran. */
export class ClosedError extends PortalError {
  override readonly name = "ClosedError";

  constructor(what: string) {
    super(Status.CANCELLED, `${what} is closed`, { reason: "closed", notExecuted: true });
  }
}

export function isCompacted(error: unknown): boolean {
  return hasReason(error, "compacted");
}

export function isUnavailable(error: unknown): boolean {
  return error instanceof PortalError && error.code === Status.UNAVAILABLE;
}

export function isDeadlineExceeded(error: unknown): boolean {
  return error instanceof PortalError && error.code === Status.DEADLINE_EXCEEDED;
}

export function hasReason(error: unknown, reason: ErrorReason): boolean {
  return error instanceof PortalError && error.reason === reason;
}

/** Any failure of the transport as a PortalError; what is not a StatusError is a bug and is left alone. */
export function toPortalError(error: unknown, notExecuted = false): unknown {
  if (error instanceof PortalError || !(error instanceof StatusError)) return error;
  if (error.message === EtcdErrors.compacted.message) {
    return new CompactedError(0, { cause: error });
  }
  return new PortalError(error.code, error.message, { cause: error, notExecuted });
}

/** The error behind a text that a server sent outside of a gRPC status, e.g. as a reason to cancel a watch. */
export function errorFromText(text: string): PortalError {
  const bare = text.replace(/^rpc error: code = \w+ desc = /, "");
  const reason = reasonsByText.get(bare);
  if (reason === undefined) return new PortalError(Status.UNKNOWN, text);
  return new PortalError(EtcdErrors[reason].code, bare, { reason });
}

function reasonOf(code: StatusCode, message: string): ErrorReason {
  return reasonsByText.get(message) ?? REASONS_BY_CODE[code];
}
