// What a crash test knows of a store: for each key the states that it may be in after a kill. A lane writes
// one command at a time, so that at most its last command is in doubt.

import type { Random } from "../../src/base/random.ts";
import type { EtcdClient } from "../support/etcd-client.mjs";

/** A key's value as text; undefined: the key is not there. */
export type Content = string | undefined;

interface PutResponse {
  readonly header: { readonly revision: number };
}
interface RangeResponse {
  readonly header: { readonly revision: number };
  readonly kvs: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
}

interface Lane {
  readonly name: string;
  /** The last acknowledged content of each of the lane's keys. */
  readonly acknowledged: Map<string, Content>;
  /** The command that was sent and not answered: what its keys become if it took effect. */
  inDoubt: Map<string, Content> | undefined;
}

const keysPerLane = 4;

export class Ledger {
  readonly #lanes: Lane[] = [];
  #sequence = 0;
  #highestRevision = 0;
  acknowledgedCount = 0;

  constructor(laneCount: number) {
    for (let index = 0; index < laneCount; index += 1) {
      this.#lanes.push({ name: `lane${index}`, acknowledged: new Map(), inDoubt: undefined });
    }
  }

  /** Lets every lane write as fast as it is answered, until `isOver` or until the server is gone. */
  async load(client: EtcdClient, random: Random, isOver: () => boolean): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => this.#drive(lane, client, random, isOver)));
  }

  async #drive(
    lane: Lane,
    client: EtcdClient,
    random: Random,
    isOver: () => boolean,
  ): Promise<void> {
    while (!isOver()) {
      const { name, request, effect } = this.#nextCommand(lane, random);
      lane.inDoubt = effect;
      let response: PutResponse;
      try {
        response = await client.call<PutResponse>(name, request, { timeoutMs: 5_000 });
      } catch {
        return;
      }
      lane.inDoubt = undefined;
      for (const [key, content] of effect) lane.acknowledged.set(key, content);
      this.#highestRevision = Math.max(this.#highestRevision, response.header.revision);
      this.acknowledgedCount += 1;
    }
  }

  #nextCommand(lane: Lane, random: Random) {
    this.#sequence += 1;
    const value = `${this.#sequence}:${"x".repeat(random.between(0, 300))}`;
    const key = `${lane.name}/${random.between(0, keysPerLane - 1)}`;
    const dice = random.between(0, 9);
    if (dice === 0) {
      return {
        name: "deleteRange",
        request: { key: Buffer.from(key) },
        effect: new Map([[key, undefined]]),
      };
    }
    if (dice <= 2) {
      // All keys of the lane in one transaction: after a crash all or none of them have changed.
      const keys = Array.from({ length: keysPerLane }, (_, index) => `${lane.name}/${index}`);
      const success = keys.map((each) => ({
        request: { $case: "requestPut", value: put(each, value) },
      }));
      return {
        name: "txn",
        request: { success },
        effect: new Map(keys.map((each) => [each, value])),
      };
    }
    return { name: "put", request: put(key, value), effect: new Map([[key, value]]) };
  }

  /** Compares the store with what it may hold, and takes what it holds as acknowledged from now on. */
  async verify(client: EtcdClient): Promise<string[]> {
    const problems: string[] = [];
    const response = await client.call<RangeResponse>("range", {
      key: Buffer.from("lane"),
      rangeEnd: Buffer.from("lanf"),
    });
    if (response.header.revision < this.#highestRevision) {
      problems.push(
        `revision ${response.header.revision} after ${this.#highestRevision} was acknowledged`,
      );
    }
    const found = new Map<string, string>();
    for (const { key, value } of response.kvs) {
      found.set(Buffer.from(key).toString(), Buffer.from(value).toString());
    }
    for (const lane of this.#lanes) problems.push(...settle(lane, found));
    for (const key of found.keys()) problems.push(`a key that nobody wrote: ${key}`);
    return problems;
  }
}

/** Checks one lane and removes its keys from `found`. */
function settle(lane: Lane, found: Map<string, string>): string[] {
  const problems: string[] = [];
  const states = [lane.acknowledged];
  if (lane.inDoubt) states.push(new Map([...lane.acknowledged, ...lane.inDoubt]));
  const keys = new Set(states.flatMap((state) => [...state.keys()]));
  const isState = (state: Map<string, Content>) =>
    [...keys].every((key) => found.get(key) === state.get(key));
  const match = states.findLast(isState);
  if (match === undefined) {
    for (const key of keys) {
      const wanted = states.map((state) => label(state.get(key))).join(" or ");
      problems.push(`${key} is ${label(found.get(key))}, should be ${wanted}`);
    }
  }
  for (const key of keys) {
    const content = found.get(key);
    lane.acknowledged.set(key, content);
    found.delete(key);
  }
  lane.inDoubt = undefined;
  return problems;
}

function label(content: Content): string {
  return content === undefined ? "absent" : (content.split(":")[0] ?? content);
}

function put(key: string, value: string) {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}
