// One proposal or read of a rare call, as a promise of a copy of the encoded reply; a read has none.

import { type StatusCode, StatusError } from "../../base/status.ts";
import type { TicketReceiver } from "../replica-types.ts";

const nothing = new Uint8Array();

export class PromiseReceiver implements TicketReceiver {
  readonly #resolve: (message: Uint8Array) => void;
  readonly #reject: (error: Error) => void;

  constructor(resolve: (message: Uint8Array) => void, reject: (error: Error) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onApplied(_ticket: number, source: Uint8Array, start: number, end: number): void {
    this.#resolve(source.slice(start, end));
  }

  onReadable(): void {
    this.#resolve(nothing);
  }

  onFailed(_ticket: number, code: StatusCode, message: string): void {
    this.#reject(new StatusError(code, message));
  }
}
