// Which connection a call goes to. pick_first stays with one endpoint; it tries them in order, starting
// the next before the last attempt has failed when that takes long. round_robin connects to all and
// takes turns. Both say TRANSIENT_FAILURE once everything has failed, and until something connects.

import type { Clock, Timer } from "../../io/clock.ts";
import type { ClientHttp2Session } from "../http2/types.ts";
import type { Subchannel } from "./subchannel.ts";
import type { ChannelState } from "./types.ts";

export interface Balancer {
  readonly state: ChannelState;
  /** A session that takes calls now, or undefined. */
  pick(): ClientHttp2Session | undefined;
  /** Leaves IDLE. */
  connect(): void;
  /** Tells of every change of a subchannel. */
  onSubchannelChange(subchannel: Subchannel): void;
  stop(): void;
}

/** How long one attempt may take before the next endpoint is tried beside it. */
const attemptDelayMs = 250;

export class PickFirst implements Balancer {
  readonly #subchannels: readonly Subchannel[];
  readonly #clock: Clock;
  #state: ChannelState = "IDLE";
  #selected: Subchannel | undefined;
  /** The next to try in this pass. */
  #next = 0;
  #timer: Timer | undefined;

  constructor(subchannels: readonly Subchannel[], clock: Clock) {
    this.#subchannels = subchannels;
    this.#clock = clock;
  }

  get state(): ChannelState {
    return this.#state;
  }

  pick(): ClientHttp2Session | undefined {
    return usable(this.#selected);
  }

  connect(): void {
    if (this.#state !== "IDLE") return;
    this.#state = "CONNECTING";
    this.#next = 0;
    this.#tryNext();
  }

  onSubchannelChange(subchannel: Subchannel): void {
    switch (subchannel.state) {
      case "READY":
        this.#onReady(subchannel);
        break;
      case "TRANSIENT_FAILURE":
        if (subchannel === this.#selected) this.#onSelectedLost();
        else this.#onAttemptFailed();
        break;
      case "IDLE":
        if (subchannel === this.#selected) this.#onSelectedLost();
        // Its backoff is over: as long as nothing works, all are tried again and again.
        else if (this.#state === "TRANSIENT_FAILURE") subchannel.connect();
        break;
      default:
    }
  }

  stop(): void {
    this.#timer?.cancel();
    this.#selected = undefined;
    this.#state = "IDLE";
  }

  #tryNext(): void {
    this.#timer?.cancel();
    while (this.#next < this.#subchannels.length) {
      const subchannel = this.#subchannels[this.#next++] as Subchannel;
      if (subchannel.state !== "IDLE") continue;
      if (this.#next < this.#subchannels.length) {
        this.#timer = this.#clock.setTimer(attemptDelayMs, () => this.#tryNext());
      }
      subchannel.connect();
      return;
    }
    this.#checkAllFailed();
  }

  #onReady(subchannel: Subchannel): void {
    if (this.#selected !== undefined) return;
    this.#timer?.cancel();
    this.#selected = subchannel;
    this.#state = "READY";
    for (const other of this.#subchannels) if (other !== subchannel) other.disconnect(0);
  }

  #onAttemptFailed(): void {
    if (this.#state === "CONNECTING") this.#tryNext();
  }

  #onSelectedLost(): void {
    this.#selected = undefined;
    this.#state = "IDLE";
  }

  #checkAllFailed(): void {
    const isTrying = this.#subchannels.some((one) => one.state === "CONNECTING");
    if (isTrying) return;
    this.#state = "TRANSIENT_FAILURE";
  }
}

export class RoundRobin implements Balancer {
  readonly #subchannels: readonly Subchannel[];
  #state: ChannelState = "IDLE";
  #turn = 0;

  constructor(subchannels: readonly Subchannel[]) {
    this.#subchannels = subchannels;
  }

  get state(): ChannelState {
    return this.#state;
  }

  pick(): ClientHttp2Session | undefined {
    const count = this.#subchannels.length;
    for (let i = 0; i < count; i++) {
      this.#turn = (this.#turn + 1) % count;
      const session = usable(this.#subchannels[this.#turn]);
      if (session !== undefined) return session;
    }
    return undefined;
  }

  connect(): void {
    if (this.#state !== "IDLE") return;
    this.#state = "CONNECTING";
    for (const subchannel of this.#subchannels) subchannel.connect();
  }

  onSubchannelChange(subchannel: Subchannel): void {
    if (this.#state === "IDLE") return;
    const states = this.#subchannels.map((one) => one.state);
    if (states.includes("READY")) this.#state = "READY";
    else if (states.every((state) => state === "TRANSIENT_FAILURE"))
      this.#state = "TRANSIENT_FAILURE";
    else if (this.#state === "READY") this.#state = "CONNECTING";
    if (subchannel.state === "IDLE") subchannel.connect();
  }

  stop(): void {
    this.#state = "IDLE";
  }
}

function usable(subchannel: Subchannel | undefined): ClientHttp2Session | undefined {
  const session = subchannel?.session;
  return session === undefined || session.closed || session.draining ? undefined : session;
}
