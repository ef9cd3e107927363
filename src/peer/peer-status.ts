// Whether messages go through to one peer, and since when. Any stream, post or reply that works makes it
// active; any that fails makes it inactive until the next that works.

import type { Logger } from "../base/log.ts";
import type { Clock } from "../io/clock.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId } from "./peer-protocol.ts";

export class PeerStatus {
  readonly #id: bigint;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counters: PeerCounters;
  #activeSinceMs: number | undefined = undefined;

  constructor(id: bigint, clock: Clock, log: Logger, counters: PeerCounters) {
    this.#id = id;
    this.#clock = clock;
    this.#log = log;
    this.#counters = counters;
  }

  get activeSinceMs(): number | undefined {
    return this.#activeSinceMs;
  }

  activate(): void {
    if (this.#activeSinceMs !== undefined) return;
    this.#activeSinceMs = this.#clock.now();
    this.#counters.active = 1;
    this.#log.info("peer became active", { "peer-id": formatId(this.#id) });
  }

  /** `action` on `source` failed, such as "dial" on "stream message". */
  deactivate(source: string, action: string, reason: string): void {
    const error = `failed to ${action} ${formatId(this.#id)} on ${source} (${reason})`;
    if (this.#activeSinceMs === undefined) {
      this.#log.debug("peer deactivated again", { "peer-id": formatId(this.#id), error });
      return;
    }
    this.#log.warn("peer became inactive (message send to peer failed)", {
      "peer-id": formatId(this.#id),
      error,
    });
    this.close();
    this.#counters.disconnects.value++;
  }

  /** The peer is gone for good. */
  close(): void {
    this.#activeSinceMs = undefined;
    this.#counters.active = 0;
  }
}
