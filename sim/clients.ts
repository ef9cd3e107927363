// Clients of a simulated cluster: each asks one member at a time for one thing at a time, waits for the answer or
// gives up, and writes down what it asked and what it was told. Who gives up does not know what has happened.

import type { Random } from "../src/base/random.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import {
  type Action,
  type Call,
  describeAction,
  describeOutcome,
  type Outcome,
} from "./checkers/history.ts";
import type { LeaseRules } from "./checkers/lease-rules.ts";
import type { Machine } from "./machine.ts";
import { decodeReply, encodeCommand, outcomeOfError, type Proposed, readNow } from "./requests.ts";
import type { Story } from "./story.ts";
import type { EventQueue } from "./world/event-queue.ts";

export interface ClientWorld {
  readonly queue: EventQueue;
  readonly story: Story;
  readonly leases: LeaseRules;
  readonly machines: readonly Machine[];
  readonly history: History;
}

/** All calls in the order of their ends, and one order of all invocations and returns. */
export class History {
  readonly calls: Call[] = [];
  /** Calls that have no outcome yet. */
  open = 0;
  #order = 0;
  #calls = 0;

  next(): number {
    return this.#order++;
  }

  nextCall(): number {
    return this.#calls++;
  }
}

const timeoutMs = 4000;
const hopMs = 0.5;

/** How a client gets one answer out of one member. */
export class Caller {
  readonly name: string;
  readonly world: ClientWorld;
  readonly random: Random;
  machine: Machine;

  constructor(name: string, world: ClientWorld, random: Random) {
    this.name = name;
    this.world = world;
    this.random = random;
    this.machine = random.pick(world.machines);
  }

  /** Goes to a member that runs, if there is one. */
  switchMachine(): void {
    const running = this.world.machines.filter(({ replica }) => replica !== undefined);
    this.machine = this.random.pick(running.length > 0 ? running : this.world.machines);
  }

  /** `done` is called once, when the outcome is there or is given up. */
  call(action: Action, done: (outcome: Outcome) => void): void {
    const { queue, history, story, leases } = this.world;
    const { machine, name } = this;
    const started = {
      id: history.nextCall(),
      client: name,
      member: machine.name,
      action,
      invokedAt: history.next(),
      invokedMs: queue.nowMs,
    };
    story.note(name, () => `call ${started.id} at ${machine.name}: ${describeAction(action)}`);
    if (action.kind === "grant")
      leases.noteAsked(action.lease, action.ttlSeconds * 1000, queue.nowMs);
    if (action.kind === "keepAlive") leases.noteAsked(action.lease, 0, queue.nowMs);
    if (action.kind === "revoke") leases.noteRevokeAsked(action.lease);
    history.open++;
    let isOver = false;
    const finish = (outcome: Outcome): void => {
      if (isOver) return;
      isOver = true;
      history.open--;
      timer.cancel();
      const ended = { returnedAt: history.next(), returnedMs: queue.nowMs };
      story.note(name, () => `call ${started.id}: ${describeOutcome(outcome)}`);
      this.#noteLease(action, outcome, started.invokedMs);
      history.calls.push({ ...started, ...ended, outcome });
      done(outcome);
    };
    const timer = queue.schedule(timeoutMs, () => finish({ kind: "unknown", reason: "no answer" }));
    const { life } = machine;
    const answer = (outcome: Outcome): void => {
      queue.schedule(hopMs, () => finish(outcome));
    };
    const answerAlive = (outcome: Outcome): void => {
      if (!life.isOver) answer(outcome);
    };
    queue.schedule(hopMs, () => {
      if (life.isOver || machine.replica === undefined) {
        answer({ kind: "refused", reason: "not running" });
        return;
      }
      life.deliver(() => {
        if (machine.replica) perform(machine.replica, action, answerAlive);
      });
    });
  }

  #noteLease(action: Action, outcome: Outcome, invokedMs: number): void {
    if (outcome.kind !== "ok") return;
    if (action.kind !== "grant" && action.kind !== "keepAlive") return;
    const ttlMs = (outcome.ttlSeconds ?? 0) * 1000;
    if (ttlMs > 0) {
      this.world.leases.noteKept(action.lease, ttlMs, invokedMs, this.world.queue.nowMs);
    }
  }
}

/** What the services in src/api do with a request. */
function perform(replica: MemberReplica, action: Action, answer: (outcome: Outcome) => void): void {
  const onFailed = (_ticket: number, _code: number, message: string): void =>
    answer(outcomeOfError(message));
  if (action.kind === "keepAlive") {
    replica.renewLease(action.lease).then(
      (ttlSeconds) => answer({ kind: "ok", revision: 0, succeeded: true, results: [], ttlSeconds }),
      (error: Error) => answer(outcomeOfError(error.message)),
    );
    return;
  }
  if (action.kind === "read") {
    if (action.isSerializable || replica.canReadNow()) {
      answer(readNow(replica, action));
      return;
    }
    const onReadable = (): void => answer(readNow(replica, action));
    replica.readIndex({ onReadable, onFailed, onApplied: () => {} }, 0);
    return;
  }
  propose(replica, action, answer, onFailed);
}

function propose(
  replica: MemberReplica,
  action: Proposed,
  answer: (outcome: Outcome) => void,
  onFailed: (ticket: number, code: number, message: string) => void,
): void {
  const [field, message] = encodeCommand(action);
  const onApplied = (_ticket: number, source: Uint8Array, start: number, end: number): void =>
    answer(decodeReply(action, source.subarray(start, end)));
  const receiver = { onApplied, onFailed, onReadable: () => {} };
  replica.propose(field, message, 0, message.length, receiver, 0);
}

const registerKeys = ["r0", "r1", "r2"];
const sharedKeys = ["t0", "t1", "t2", "t3"];

/** Puts, reads, deletes, swaps and transactions without end, until it is stopped. */
export class KvClient {
  readonly #caller: Caller;
  readonly #thinkMs: number;
  readonly #observed = new Map<string, { modRevision: number; value: string }>();
  #values = 0;
  #lastRevision = 1;
  #isStopped = false;

  constructor(name: string, world: ClientWorld, random: Random) {
    this.#caller = new Caller(name, world, random);
    this.#thinkMs = random.pick([20, 60, 150]);
    this.#next();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #next(): void {
    const { random, world } = this.#caller;
    world.queue.schedule(random.float() * 2 * this.#thinkMs, () => {
      if (this.#isStopped) return;
      if (random.chance(0.03)) this.#caller.switchMachine();
      this.#caller.call(this.#draw(), (outcome) => {
        this.#learn(outcome);
        if (outcome.kind === "unknown" || outcome.kind === "refused") {
          if (random.chance(0.7)) this.#caller.switchMachine();
        }
        this.#next();
      });
    });
  }

  #learn(outcome: Outcome): void {
    if (outcome.kind !== "ok") return;
    this.#lastRevision = Math.max(this.#lastRevision, outcome.revision);
    for (const result of outcome.results) {
      if (result.kind !== "get") continue;
      for (const { key, modRevision, value } of result.kvs) {
        this.#observed.set(key, { modRevision, value });
      }
    }
  }

  #draw(): Action {
    const { random } = this.#caller;
    const key = random.pick(registerKeys);
    const dice = random.float();
    if (dice < 0.32) return write([this.#put(key)]);
    if (dice < 0.37) return write([{ kind: "delete", key, rangeEnd: undefined }]);
    if (dice < 0.65) return read(key, undefined, random.chance(0.1));
    if (dice < 0.73) return this.#swap(key);
    if (dice < 0.86) return this.#txn();
    if (dice < 0.93) return read("t", "u", false);
    if (dice < 0.96) return this.#readPast();
    if (dice < 0.98)
      return write([{ kind: "delete", key: random.pick(["t1", "t3"]), rangeEnd: "u" }]);
    return { kind: "compact", revision: Math.max(1, this.#lastRevision - random.below(20)) };
  }

  #put(key: string) {
    const value = `${this.#caller.name}-${this.#values++}`;
    return { kind: "put", key, value, lease: 0n } as const;
  }

  #swap(key: string): Action {
    const value = this.#observed.get(key)?.value ?? "nothing";
    const compares = [{ target: "value", key, equals: value } as const];
    return { kind: "write", compares, success: [this.#put(key)], failure: [get(key)] };
  }

  #txn(): Action {
    const { random } = this.#caller;
    const [first, second] = random.shuffle([...sharedKeys]) as [string, string];
    const compares = random.chance(0.5)
      ? [
          {
            target: "modRevision",
            key: first,
            equals: this.#observed.get(first)?.modRevision ?? 0,
          } as const,
        ]
      : [];
    return {
      kind: "write",
      compares,
      success: [this.#put(first), get(second), this.#put(second)],
      failure: [{ kind: "get", key: "t", rangeEnd: "u" }],
    };
  }

  #readPast(): Action {
    const revision = Math.max(1, this.#lastRevision - this.#caller.random.below(30));
    return { kind: "read", key: "t", rangeEnd: "u", revision, isSerializable: false };
  }
}

function write(success: Extract<Action, { kind: "write" }>["success"]): Action {
  return { kind: "write", compares: [], success, failure: [] };
}

function read(key: string, rangeEnd: string | undefined, isSerializable: boolean): Action {
  return { kind: "read", key, rangeEnd, revision: 0, isSerializable };
}

function get(key: string) {
  return { kind: "get", key, rangeEnd: undefined } as const;
}

/** Grants a lease, hangs a key on it, keeps it alive for a while, then lets it end or revokes it; again and again. */
export class LeaseClient {
  readonly #caller: Caller;
  readonly #number: number;
  #leases = 0;
  #isStopped = false;

  constructor(number: number, world: ClientWorld, random: Random) {
    this.#number = number;
    this.#caller = new Caller(`lease${number}`, world, random);
    this.#grant();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #later(ms: number, action: () => void): void {
    this.#caller.world.queue.schedule(ms, () => {
      if (!this.#isStopped) action();
    });
  }

  #grant(): void {
    const { random } = this.#caller;
    this.#later(random.float() * 500, () => {
      const lease = BigInt(this.#number * 1000 + ++this.#leases);
      const ttlSeconds = random.between(1, 3);
      this.#caller.call({ kind: "grant", lease, ttlSeconds }, (outcome) => {
        if (outcome.kind === "ok") this.#attach(lease, (outcome.ttlSeconds ?? 0) * 1000);
        else {
          this.#caller.switchMachine();
          this.#grant();
        }
      });
    });
  }

  #attach(lease: bigint, ttlMs: number): void {
    const put = { kind: "put", key: `l${lease}`, value: `lease-${lease}`, lease } as const;
    this.#caller.call(write([put]), () => this.#keep(lease, ttlMs, this.#caller.random.below(8)));
  }

  #keep(lease: bigint, ttlMs: number, times: number): void {
    const { random } = this.#caller;
    this.#later(ttlMs / 3, () => {
      if (times > 0) {
        this.#caller.call({ kind: "keepAlive", lease }, (outcome) => {
          if (outcome.kind !== "ok") this.#caller.switchMachine();
          if (outcome.kind === "refused" && outcome.reason !== "not running") this.#grant();
          else this.#keep(lease, ttlMs, times - 1);
        });
      } else if (random.chance(0.3)) {
        this.#caller.call({ kind: "revoke", lease }, () => this.#grant());
      } else this.#grant();
    });
  }
}
