// What clients asked and what they were told: plain data, recorded by whoever drives a cluster (the simulator,
// or a test of real processes) and read by the checkers. Keys and values have one char per byte. A client puts
// each value only once, so that a value names the call that wrote it.

export type Step =
  | { readonly kind: "put"; readonly key: string; readonly value: string; readonly lease: bigint }
  | { readonly kind: "delete"; readonly key: string; readonly rangeEnd: string | undefined }
  | { readonly kind: "get"; readonly key: string; readonly rangeEnd: string | undefined };

export type Compare =
  | { readonly target: "modRevision"; readonly key: string; readonly equals: number }
  | { readonly target: "value"; readonly key: string; readonly equals: string };

export type Action =
  /** Put, DeleteRange and Txn alike: when all compares hold `success` happens, else `failure`. */
  | {
      readonly kind: "write";
      readonly compares: readonly Compare[];
      readonly success: readonly Step[];
      readonly failure: readonly Step[];
    }
  | {
      readonly kind: "read";
      readonly key: string;
      readonly rangeEnd: string | undefined;
      /** 0: the newest. */
      readonly revision: number;
      readonly isSerializable: boolean;
    }
  | { readonly kind: "compact"; readonly revision: number }
  | { readonly kind: "grant"; readonly lease: bigint; readonly ttlSeconds: number }
  | { readonly kind: "revoke"; readonly lease: bigint }
  | { readonly kind: "keepAlive"; readonly lease: bigint };

export interface KeyValueSeen {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  readonly lease: bigint;
}

export type StepResult =
  | { readonly kind: "put" }
  | { readonly kind: "delete"; readonly deleted: number }
  | { readonly kind: "get"; readonly kvs: readonly KeyValueSeen[] };

export type Outcome =
  /** `revision` is that of the reply's header. */
  | {
      readonly kind: "ok";
      readonly revision: number;
      readonly succeeded: boolean;
      readonly results: readonly StepResult[];
      /** Of grant and keepAlive: what the reply says. */
      readonly ttlSeconds?: number;
    }
  /** Certainly without effect, now and later. */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "unknown"; readonly reason: string };

export interface Call {
  readonly id: number;
  readonly client: string;
  readonly member: string;
  readonly action: Action;
  /** Place in one order of all invocations and returns; the time beside it is for the story and for leases. */
  readonly invokedAt: number;
  readonly invokedMs: number;
  readonly returnedAt: number;
  readonly returnedMs: number;
  readonly outcome: Outcome;
}

/** One change of one key, as every member must see it. */
export interface EventSeen {
  readonly type: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  /** Of a put. */
  readonly kv: KeyValueSeen | undefined;
}

/** What one watch was given, over all its connections. */
export interface WatchSeen {
  readonly name: string;
  readonly key: string;
  readonly rangeEnd: string | undefined;
  readonly startRevision: number;
  readonly events: readonly EventSeen[];
  /** Where it had to start again, since what came next was compacted: [wanted, resumed from]. */
  readonly gaps: readonly { readonly wanted: number; readonly resumed: number }[];
  /** It must have been given everything up to here. */
  readonly completeUpTo: number;
}

/** Something that must never be, was. */
export interface Violation {
  readonly property: string;
  readonly text: string;
}

export type Report = (violation: Violation) => void;

export function isWithin(key: string, start: string, end: string | undefined): boolean {
  if (end === undefined || end === "") return key === start;
  return key >= start && (end === "\0" || key < end);
}

export function describeAction(action: Action): string {
  switch (action.kind) {
    case "write": {
      const then = action.success.map(describeStep).join(", ");
      if (action.compares.length === 0) return then;
      const when = action.compares.map((c) => `${c.key}.${c.target}=${c.equals}`).join(" and ");
      return `if ${when} then ${then} else ${action.failure.map(describeStep).join(", ") || "nothing"}`;
    }
    case "read": {
      const at = action.revision === 0 ? "" : ` at ${action.revision}`;
      const how = action.isSerializable ? " (serializable)" : "";
      return `get ${describeRange(action.key, action.rangeEnd)}${at}${how}`;
    }
    case "compact":
      return `compact ${action.revision}`;
    case "grant":
      return `grant lease ${action.lease} for ${action.ttlSeconds} s`;
    default:
      return `${action.kind} lease ${action.lease}`;
  }
}

function describeStep(step: Step): string {
  if (step.kind !== "put") return `${step.kind} ${describeRange(step.key, step.rangeEnd)}`;
  return `put ${step.key}=${step.value}${step.lease === 0n ? "" : ` on lease ${step.lease}`}`;
}

function describeRange(key: string, end: string | undefined): string {
  return end === undefined ? key : `[${key}, ${end === "\0" ? "end" : end})`;
}

export function describeOutcome(outcome: Outcome): string {
  if (outcome.kind !== "ok") return `${outcome.kind}: ${outcome.reason}`;
  const results = outcome.results.map((result) => {
    if (result.kind === "put") return "put";
    if (result.kind === "delete") return `${result.deleted} deleted`;
    return `[${result.kvs.map((kv) => `${kv.key}=${kv.value}@${kv.modRevision}`).join(" ")}]`;
  });
  return `ok at ${outcome.revision}${outcome.succeeded ? "" : " (else)"}: ${results.join(", ")}`;
}
