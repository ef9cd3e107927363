// A store as one would explain it, for the checkers: every key's versions in a list, nothing is ever forgotten.

import {
  type Action,
  type EventSeen,
  isWithin,
  type KeyValueSeen,
  type Step,
  type StepResult,
} from "./history.ts";

export type WriteAction = Extract<Action, { kind: "write" }>;

export interface Executed {
  readonly succeeded: boolean;
  readonly results: readonly StepResult[];
  readonly changes: readonly EventSeen[];
}

interface Version {
  readonly revision: number;
  /** undefined: deleted. */
  readonly kv: KeyValueSeen | undefined;
}

export class PlainStore {
  revision = 1;
  readonly #keys = new Map<string, Version[]>();

  /** What the action would do as the write of `revision`; changes nothing. */
  execute(action: WriteAction, revision: number): Executed {
    const written = new Map<string, KeyValueSeen | undefined>();
    const succeeded = action.compares.every((compare) => {
      const kv = this.at(compare.key, this.revision);
      if (compare.target === "modRevision") return (kv?.modRevision ?? 0) === compare.equals;
      return kv !== undefined && kv.value === compare.equals;
    });
    const changes: EventSeen[] = [];
    const results = (succeeded ? action.success : action.failure).map((step) =>
      this.#executeStep(step, revision, written, changes),
    );
    return { succeeded, results, changes };
  }

  apply(revision: number, events: readonly EventSeen[]): void {
    this.revision = revision;
    for (const { key, kv } of events) {
      const versions = this.#keys.get(key);
      if (versions) versions.push({ revision, kv });
      else this.#keys.set(key, [{ revision, kv }]);
    }
  }

  at(key: string, revision: number): KeyValueSeen | undefined {
    const versions = this.#keys.get(key) ?? [];
    for (let i = versions.length - 1; i >= 0; i--) {
      const version = versions[i] as Version;
      if (version.revision <= revision) return version.kv;
    }
    return undefined;
  }

  /** Live keys of a range at a revision, ascending. */
  range(key: string, rangeEnd: string | undefined, revision: number): KeyValueSeen[] {
    if (rangeEnd === undefined) {
      const kv = this.at(key, revision);
      return kv ? [kv] : [];
    }
    const found: KeyValueSeen[] = [];
    for (const name of this.#keys.keys()) {
      if (!isWithin(name, key, rangeEnd)) continue;
      const kv = this.at(name, revision);
      if (kv) found.push(kv);
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #executeStep(
    step: Step,
    revision: number,
    written: Map<string, KeyValueSeen | undefined>,
    changes: EventSeen[],
  ): StepResult {
    const { key } = step;
    if (step.kind === "put") {
      const old = written.has(key) ? written.get(key) : this.at(key, this.revision);
      const kv: KeyValueSeen = {
        key,
        value: step.value,
        createRevision: old?.createRevision ?? revision,
        modRevision: revision,
        version: (old?.version ?? 0) + 1,
        lease: step.lease,
      };
      written.set(key, kv);
      changes.push({ type: "put", key, revision, kv });
      return { kind: "put" };
    }
    const live = this.#rangeWith(key, step.rangeEnd, written);
    if (step.kind === "get") return { kind: "get", kvs: live };
    for (const kv of live) {
      written.set(kv.key, undefined);
      changes.push({ type: "delete", key: kv.key, revision, kv: undefined });
    }
    return { kind: "delete", deleted: live.length };
  }

  #rangeWith(
    key: string,
    rangeEnd: string | undefined,
    written: ReadonlyMap<string, KeyValueSeen | undefined>,
  ): KeyValueSeen[] {
    const live = this.range(key, rangeEnd, this.revision).filter((kv) => !written.has(kv.key));
    for (const [name, kv] of written) if (kv && isWithin(name, key, rangeEnd)) live.push(kv);
    return live.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

export function sameKeyValues(a: readonly KeyValueSeen[], b: readonly KeyValueSeen[]): boolean {
  return a.length === b.length && a.every((kv, i) => textOf(kv) === textOf(b[i] as KeyValueSeen));
}

/** A text that differs when an event's outcome differs. */
export function changesOf(event: EventSeen): string {
  return event.kv === undefined ? "" : textOf(event.kv);
}

function textOf(kv: KeyValueSeen): string {
  return `${kv.key}|${kv.value}|${kv.createRevision}|${kv.modRevision}|${kv.version}|${kv.lease}`;
}
