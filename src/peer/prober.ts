// Asks a peer every few seconds whether it is there and what time it has: the smoothed round-trip time and
// how far its clock is ahead of ours.

import type { ClientRequest, IncomingMessage } from "node:http";
import { readReply } from "./http-reply.ts";
import { IdleTimer, type PeerContext } from "./peer-context.ts";
import type { PeerCounters } from "./peer-metrics.ts";
import { formatId, paths } from "./peer-protocol.ts";
import type { UrlPicker } from "./peer-url.ts";

/** Weight of the newest round trip. */
const newestWeight = 0.125;
const driftWarnMs = 1000;
/** The same warning is not written more often. */
const warnIntervalMs = 30_000;

export class Prober {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #picker: UrlPicker;
  readonly #counters: PeerCounters;
  #request: ClientRequest | undefined = undefined;
  #nextMs: number;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #roundTripMs: number | undefined = undefined;
  #clockDriftMs: number | undefined = undefined;
  #closed = false;

  constructor(context: PeerContext, peerId: bigint, picker: UrlPicker, counters: PeerCounters) {
    this.#context = context;
    this.#peerId = peerId;
    this.#picker = picker;
    this.#counters = counters;
    // Soon at first, so that a new member has numbers to show.
    this.#nextMs = context.clock.now() + context.limits.probeIntervalMs / 8;
  }

  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  get clockDriftMs(): number | undefined {
    return this.#clockDriftMs;
  }

  /** To be called a few times a second. */
  tick(nowMs: number): void {
    if (nowMs < this.#nextMs || this.#request !== undefined) return;
    this.#nextMs = nowMs + this.#context.limits.probeIntervalMs;
    this.#probe();
  }

  close(): void {
    this.#closed = true;
    this.#request?.destroy();
  }

  #probe(): void {
    const { clock, dialer, limits } = this.#context;
    const address = this.#picker.current;
    if (address === undefined) return;
    const startMs = clock.now();
    const request = dialer.open(address, { method: "GET", path: paths.probing, headers: {} });
    this.#request = request;
    const timer = new IdleTimer(clock, limits.silenceMs, () =>
      request.destroy(new Error(`no reply within ${limits.silenceMs} ms`)),
    );
    const settle = (failure: string | undefined): void => {
      timer.cancel();
      this.#request = undefined;
      if (failure !== undefined) this.#warn("prober detected unhealthy status", { error: failure });
    };
    request.on("error", (error) => settle(error.message));
    request.once("response", (response) => {
      void this.#judge(response, startMs).then(settle);
    });
    request.end();
  }

  async #judge(response: IncomingMessage, startMs: number): Promise<string | undefined> {
    const { clock } = this.#context;
    const text = await readReply(clock, response);
    if (response.statusCode !== 200) return `status ${response.statusCode}`;
    const peerNowMs = parseProbe(text);
    if (peerNowMs === undefined) return "the reply makes no sense";
    const roundTripMs = clock.now() - startMs;
    const smoothed = this.#roundTripMs ?? roundTripMs;
    this.#roundTripMs = (1 - newestWeight) * smoothed + newestWeight * roundTripMs;
    this.#counters.roundTripSeconds.observe(roundTripMs / 1000);
    this.#clockDriftMs = peerNowMs + roundTripMs / 2 - clock.wallNow();
    if (Math.abs(this.#clockDriftMs) > driftWarnMs) {
      this.#warn("prober found high clock drift", { "clock-drift": `${this.#clockDriftMs}ms` });
    }
    return undefined;
  }

  #warn(message: string, fields: Readonly<Record<string, string>>): void {
    const nowMs = this.#context.clock.now();
    if (this.#closed || nowMs - this.#warnedMs < warnIntervalMs) return;
    this.#warnedMs = nowMs;
    this.#context.log.warn(message, {
      "remote-peer-id": formatId(this.#peerId),
      rtt: this.#roundTripMs === undefined ? undefined : `${this.#roundTripMs}ms`,
      ...fields,
    });
  }
}

/** What a probed member answers. */
export function probeReply(wallNowMs: number): string {
  return `{"OK":true,"Now":"${new Date(wallNowMs).toISOString()}"}\n`;
}

/** Milliseconds since 1970 as the peer has them; undefined for anything but a healthy reply. */
function parseProbe(text: string): number | undefined {
  try {
    const { OK, Now } = JSON.parse(text) as { OK?: unknown; Now?: unknown };
    const nowMs = typeof Now === "string" ? Date.parse(Now) : Number.NaN;
    return OK === true && Number.isFinite(nowMs) ? nowMs : undefined;
  } catch {
    return undefined;
  }
}
