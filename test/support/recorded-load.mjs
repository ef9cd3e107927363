// Clients that write, swap, delete and read under disaster, and a record of every call: when it began and
// ended and what came of it, in the form of sim/checkers/history.ts. A client has one call under way at a time.
// What timed out or broke off is of unknown outcome: it may take effect later, or never.
import { setTimeout as sleep } from "node:timers/promises";

const callTimeoutMs = 1_000;
const pauseAfterErrorMs = 40;
const equal = 0;
const targets = { modRevision: 2, value: 3 };

export class RecordedLoad {
  /** All calls so far. Those under way at the end count as unknown. */
  calls = [];
  #members;
  #random;
  #keys;
  #place = 0;
  #startedMs = performance.now();
  #isOver = false;
  #lanes = [];

  /** `members()` are those that may be asked; `keys` and `clients` are counts. */
  constructor({ members, random, keys = 12, clients = 10, pauseMs = 0 }) {
    this.#members = members;
    this.#random = random;
    this.#keys = Array.from({ length: keys }, (_, index) => `k${String(index).padStart(3, "0")}`);
    for (let index = 0; index < clients; index += 1)
      this.#lanes.push(this.#drive(`c${index}`, pauseMs));
  }

  get acknowledgedWrites() {
    return this.calls.filter(
      ({ action, outcome }) => action.kind === "write" && outcome.kind === "ok",
    ).length;
  }

  /** Ends the load; resolves to the calls. */
  async stop() {
    this.#isOver = true;
    await Promise.all(this.#lanes);
    return this.calls;
  }

  async #drive(client, pauseMs) {
    for (let number = 0; !this.#isOver; number += 1) {
      const member = this.#random.pick(this.#members());
      const action = this.#nextAction(`${client}.${number}`);
      const invokedAt = this.#place++;
      const invokedMs = performance.now() - this.#startedMs;
      const outcome = await perform(member.client, action);
      const isOpen = outcome.kind === "unknown";
      this.calls.push({
        id: this.calls.length,
        client: `${client}.${number}`,
        member: member.name,
        action,
        invokedAt,
        invokedMs,
        returnedAt: isOpen ? Number.POSITIVE_INFINITY : this.#place++,
        returnedMs: performance.now() - this.#startedMs,
        outcome,
      });
      if (outcome.kind !== "ok") await sleep(pauseAfterErrorMs);
      else if (pauseMs > 0) await sleep(this.#random.next() * 2 * pauseMs);
    }
  }

  #nextAction(value) {
    const random = this.#random;
    const key = random.pick(this.#keys);
    const dice = random.between(0, 99);
    const put = { kind: "put", key, value, lease: 0n };
    const get = { kind: "get", key, rangeEnd: undefined };
    if (dice < 35) return write([], put);
    if (dice < 55) {
      const compares = [this.#compareWithWhatWasSeen(key)];
      return write(compares, put, [get]);
    }
    if (dice < 60) {
      const remove = { kind: "delete", key, rangeEnd: undefined };
      return write([], remove);
    }
    const isRange = dice >= 92;
    return {
      kind: "read",
      key,
      rangeEnd: isRange ? "l" : undefined,
      revision: 0,
      isSerializable: dice >= 85 && dice < 92,
    };
  }

  /** A swap that has a fair chance: what the last reads saw is often still there. */
  #compareWithWhatWasSeen(key) {
    for (let index = this.calls.length - 1; index >= Math.max(0, this.calls.length - 40); index--) {
      const { action, outcome } = this.calls[index];
      if (outcome.kind !== "ok") continue;
      if (action.kind === "read" && action.key === key && action.rangeEnd === undefined) {
        const [kv] = outcome.results[0].kvs;
        if (kv === undefined) break;
        return { target: "value", key, equals: kv.value };
      }
      const [step] = action.kind === "write" && outcome.succeeded ? action.success : [];
      if (step?.kind === "put" && step.key === key) {
        return { target: "value", key, equals: step.value };
      }
    }
    return { target: "modRevision", key, equals: 0 };
  }
}

function write(compares, step, failure = []) {
  return { kind: "write", compares, success: [step], failure };
}

async function perform(client, action) {
  try {
    if (action.kind === "read") return await read(client, action);
    const response = await client.call("txn", txnOf(action), { timeoutMs: callTimeoutMs });
    return {
      kind: "ok",
      revision: Number(response.header.revision),
      succeeded: response.succeeded,
      results: response.responses.map(resultOf),
    };
  } catch (error) {
    const reason = String(error?.details ?? error?.message ?? error);
    return { kind: hadNoEffect(action, error) ? "refused" : "unknown", reason };
  }
}

async function read(client, { key, rangeEnd, isSerializable }) {
  const request = {
    key: latin1(key),
    rangeEnd: latin1(rangeEnd ?? ""),
    serializable: isSerializable,
  };
  const { header, kvs } = await client.call("range", request, { timeoutMs: callTimeoutMs });
  const results = [{ kind: "get", kvs: kvs.map(keyValueOf) }];
  return { kind: "ok", revision: Number(header.revision), succeeded: true, results };
}

/** Reads never have an effect; a call that never got a connection has none either. */
function hadNoEffect(action, error) {
  return action.kind === "read" || /ECONNREFUSED|No connection established/.test(error?.details);
}

function txnOf({ compares, success, failure }) {
  return {
    compare: compares.map(({ target, key, equals }) => ({
      result: equal,
      target: targets[target],
      key: latin1(key),
      targetUnion:
        target === "value"
          ? { $case: "value", value: latin1(equals) }
          : { $case: "modRevision", value: BigInt(equals) },
    })),
    success: success.map(operationOf),
    failure: failure.map(operationOf),
  };
}

function operationOf(step) {
  const key = latin1(step.key);
  if (step.kind === "put") {
    const value = { key, value: latin1(step.value) };
    return { request: { $case: "requestPut", value } };
  }
  if (step.kind === "delete") return { request: { $case: "requestDeleteRange", value: { key } } };
  return { request: { $case: "requestRange", value: { key } } };
}

function resultOf({ response }) {
  const { $case, value } = response;
  if ($case === "responsePut") return { kind: "put" };
  if ($case === "responseDeleteRange") return { kind: "delete", deleted: Number(value.deleted) };
  return { kind: "get", kvs: value.kvs.map(keyValueOf) };
}

export function keyValueOf(kv) {
  return {
    key: Buffer.from(kv.key).toString("latin1"),
    value: Buffer.from(kv.value).toString("latin1"),
    createRevision: Number(kv.createRevision),
    modRevision: Number(kv.modRevision),
    version: Number(kv.version),
    lease: BigInt(kv.lease),
  };
}

const latin1 = (text) => Buffer.from(text, "latin1");

/** Everything that one member's history holds from a revision on, by revision, read with a watch. */
export async function readChanges(member, startRevision = 2) {
  const { header } = await member.client.call("range", { key: latin1("k") });
  const last = Number(header.revision);
  const changes = new Map();
  const watch = member.client.open("watch");
  try {
    const everything = { key: Buffer.of(0), rangeEnd: Buffer.of(0), startRevision };
    watch.send({ requestUnion: { $case: "createRequest", value: everything } });
    for (let seen = startRevision - 1; seen < last; ) {
      const { events, canceled, cancelReason } = await watch.next(15_000).catch((error) => {
        throw new Error(`${member.name} told of ${seen} of ${last} revisions: ${error.message}`);
      });
      if (canceled) throw new Error(`${member.name} ended the watch: ${cancelReason}`);
      for (const event of events) {
        const kv = keyValueOf(event.kv);
        const isPut = event.type === 0;
        seen = kv.modRevision;
        const list = changes.get(seen) ?? [];
        list.push({
          type: isPut ? "put" : "delete",
          key: kv.key,
          revision: seen,
          kv: isPut ? kv : undefined,
        });
        changes.set(seen, list);
      }
    }
    return { changes, lastRevision: last };
  } finally {
    watch.cancel();
  }
}

/**
 * The same calls as single-key registers, for a search: `{ client, key, input, output, invokedAt, returnedAt }`.
 * Reads of several keys become one of each; serializable reads, which may be old, are left out.
 */
export function registerCalls(calls) {
  const keys = new Set(
    calls.flatMap(({ action }) =>
      action.kind === "write" ? action.success.map(({ key }) => key) : [],
    ),
  );
  return calls.flatMap((call) => {
    const { action, outcome, client, invokedAt, returnedAt } = call;
    if (outcome.kind === "refused") return [];
    const about = { client, invokedAt, returnedAt };
    if (action.kind === "read") {
      if (action.isSerializable || outcome.kind !== "ok") return [];
      const { kvs } = outcome.results[0];
      const wanted = action.rangeEnd === undefined ? [action.key] : keys;
      return [...wanted]
        .filter((key) => action.rangeEnd === undefined || key >= action.key)
        .map((key) => ({
          ...about,
          key,
          input: { kind: "read" },
          output: { kind: "value", value: kvs.find((kv) => kv.key === key)?.value },
        }));
    }
    const [step] = action.success;
    const value = step.kind === "put" ? step.value : undefined;
    const isKnown = outcome.kind === "ok";
    if (action.compares.length === 0) {
      const output = isKnown ? { kind: "written" } : undefined;
      return [{ ...about, key: step.key, input: { kind: "write", value }, output }];
    }
    const [{ target, equals }] = action.compares;
    const expected = target === "value" ? equals : undefined;
    const output = isKnown ? { kind: "swapped", succeeded: outcome.succeeded } : undefined;
    return [{ ...about, key: step.key, input: { kind: "swap", expected, value }, output }];
  });
}
