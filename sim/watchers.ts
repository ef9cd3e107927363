// Clients that watch: each follows its range from a revision on, on whatever member it is connected to, and goes on
// from where it was at another one when that member is gone. Sometimes it does not read for a while.

import type { Random } from "../src/base/random.ts";
import type { Watcher, WatchSink } from "../src/mvcc/watch-hub.ts";
import type { MemberReplica } from "../src/node/replica.ts";
import type { EventSeen, WatchSeen } from "./checkers/history.ts";
import type { ClientWorld } from "./clients.ts";
import { bytes, decodeWatchEvent } from "./requests.ts";
import type { ProcessLife } from "./world/process-life.ts";

interface Connection {
  readonly replica: MemberReplica;
  /** Of the process that it leads to: what is left of one that is gone says nothing any more. */
  readonly life: ProcessLife;
  watcher: Watcher | undefined;
}

const lookMs = 100;

export class WatchClient {
  readonly name: string;
  readonly #world: ClientWorld;
  readonly #random: Random;
  readonly #range: { readonly key: string; readonly rangeEnd: string | undefined };
  readonly #startRevision: number;
  readonly #events: EventSeen[] = [];
  readonly #gaps: { wanted: number; resumed: number }[] = [];
  #nextRevision: number;
  #connection: Connection | undefined;

  constructor(
    name: string,
    world: ClientWorld,
    random: Random,
    range: { readonly key: string; readonly rangeEnd: string | undefined },
  ) {
    this.name = name;
    this.#world = world;
    this.#random = random;
    this.#range = range;
    this.#startRevision = 2;
    this.#nextRevision = 2;
    this.#look();
  }

  seen(completeUpTo: number): WatchSeen {
    return {
      name: this.name,
      ...this.#range,
      startRevision: this.#startRevision,
      events: this.#events,
      gaps: this.#gaps,
      completeUpTo,
    };
  }

  /** Connects where somebody runs, again when that one is gone, and now and then elsewhere. */
  #look(): void {
    const { queue, machines } = this.#world;
    queue.schedule(lookMs, () => {
      this.#look();
      const current = this.#connection;
      const isAlive = machines.some(({ replica }) => replica === current?.replica);
      if (current && isAlive && !this.#random.chance(0.01)) return;
      if (current && isAlive) current.watcher?.cancel();
      this.#connection = undefined;
      const running = machines.filter(({ replica, isPaused }) => replica && !isPaused);
      if (running.length === 0) return;
      const machine = this.#random.pick(running);
      this.#world.story.note(
        this.name,
        () => `watches at ${machine.name} from revision ${this.#nextRevision} on`,
      );
      this.#connect(machine.replica as MemberReplica, machine.life);
    });
  }

  #connect(replica: MemberReplica, life: ProcessLife): void {
    const connection: Connection = { replica, life, watcher: undefined };
    this.#connection = connection;
    const { rangeEnd } = this.#range;
    const spec = {
      key: bytes(this.#range.key),
      rangeEnd: rangeEnd === undefined ? undefined : bytes(rangeEnd === "\0" ? "" : rangeEnd),
      startRevision: this.#nextRevision,
    };
    connection.watcher = replica.watchHub.watch(spec, this.#sink(connection));
  }

  #sink(connection: Connection): WatchSink {
    const isCurrent = () => this.#connection === connection && !connection.life.isOver;
    return {
      deliver: (run, from, to) => {
        if (!isCurrent()) return true;
        if (this.#random.chance(0.03)) {
          this.#world.queue.schedule(200, () => {
            if (isCurrent()) connection.watcher?.resume();
          });
          return false;
        }
        for (let i = from; i < to; i++) {
          const event = decodeWatchEvent(run.buffer.subarray(run.startOf(i), run.startOf(i + 1)));
          this.#events.push(event);
          this.#nextRevision = event.revision + 1;
        }
        return true;
      },
      compacted: (compactRevision) => {
        if (!isCurrent()) return true;
        this.#world.story.note(this.name, () => `is told that ${compactRevision} was compacted`);
        this.#gaps.push({ wanted: this.#nextRevision, resumed: compactRevision });
        this.#nextRevision = compactRevision;
        this.#connection = undefined;
        return true;
      },
      caughtUp: () => {},
    };
  }
}
