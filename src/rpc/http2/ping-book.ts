// Our own PINGs that wait for their acknowledgement. Payload: a counter, 8 bytes big-endian.

import type { Clock } from "../../io/clock.ts";
import { FrameType, readUint32, writeUint32 } from "./frames.ts";
import type { Sender } from "./sender.ts";

const WAITING_MAX = 64;
const PAYLOAD_BYTES = 8;
const MARK = 0x706f7274;

interface Waiting {
  readonly sentMs: number;
  readonly resolve: (roundTripMs: number) => void;
  readonly reject: (error: Error) => void;
}

export class PingBook {
  readonly #sender: Sender;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;

  constructor(sender: Sender, clock: Clock) {
    this.#sender = sender;
    this.#clock = clock;
  }

  /** Sends a PING; resolves to the round trip in ms. Rejects when too many wait already. */
  send(): Promise<number> {
    if (this.#waiting.size >= WAITING_MAX) {
      return Promise.reject(new Error("too many PINGs without an answer"));
    }
    const number = this.#next;
    this.#next = (number + 1) >>> 0;
    const payload = Buffer.allocUnsafe(PAYLOAD_BYTES);
    writeUint32(payload, writeUint32(payload, 0, MARK), number);
    this.#sender.controlFrame(FrameType.PING, 0, payload, 0, PAYLOAD_BYTES);
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { sentMs: this.#clock.now(), resolve, reject });
    });
  }

  answered(source: Buffer, start: number): void {
    const number = readUint32(source, start + 4);
    const waiting = this.#waiting.get(number);
    if (waiting === undefined || readUint32(source, start) !== MARK) return;
    this.#waiting.delete(number);
    waiting.resolve(this.#clock.now() - waiting.sentMs);
  }

  fail(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}
