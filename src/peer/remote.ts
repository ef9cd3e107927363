// A member that wrote to us and is not known yet: it may be answered by posts, no more. That lets a member
// that missed the change which added it learn the rest.

import type { Message } from "../raft/message.ts";
import type { PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { PeerStatus } from "./peer-status.ts";
import { UrlPicker } from "./peer-url.ts";
import { Pipeline } from "./pipeline.ts";

export class Remote {
  readonly #pipeline: Pipeline;
  readonly #counters: PeerCounters;

  constructor(context: PeerContext, id: bigint, urls: readonly string[]) {
    this.#counters = context.metrics.of(id);
    const status = new PeerStatus(id, context.clock, context.log, this.#counters);
    this.#pipeline = new Pipeline(context, id, new UrlPicker(urls), status, this.#counters);
  }

  send(message: Message): void {
    if (!this.#pipeline.send(message)) this.#counters.sendFailures.value++;
  }

  close(): void {
    this.#pipeline.close();
  }
}
