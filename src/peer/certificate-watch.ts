// Loads TLS files again when they change. A file that can not be used leaves the old certificates in
// place and says so once.

import type { Logger } from "../base/log.ts";
import type { Clock, Timer } from "../io/clock.ts";

const checkIntervalMs = 5000;

/** Where certificates come from. */
export interface CertificateSource<Tls> {
  /** A text that changes when one of the files does. */
  fingerprint(): Promise<string>;
  /** Rejects when the files can not be used. */
  load(): Promise<Tls>;
}

export class CertificateWatch<Tls> {
  readonly #source: CertificateSource<Tls>;
  readonly #apply: (tls: Tls) => void;
  readonly #clock: Clock;
  readonly #log: Logger;
  #fingerprint: string;
  #timer: Timer | undefined = undefined;
  #closed = false;

  private constructor(
    source: CertificateSource<Tls>,
    apply: (tls: Tls) => void,
    clock: Clock,
    log: Logger,
    fingerprint: string,
  ) {
    this.#source = source;
    this.#apply = apply;
    this.#clock = clock;
    this.#log = log;
    this.#fingerprint = fingerprint;
    this.#schedule();
  }

  /** `apply` gets what was loaded after each change. */
  static async start<Tls>(
    source: CertificateSource<Tls>,
    apply: (tls: Tls) => void,
    clock: Clock,
    log: Logger,
  ): Promise<CertificateWatch<Tls>> {
    return new CertificateWatch(source, apply, clock, log, await source.fingerprint());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    const check = (): void => void this.#check().finally(() => this.#schedule());
    this.#timer = this.#clock.setTimer(checkIntervalMs, check, { unref: true });
  }

  async #check(): Promise<void> {
    try {
      const fingerprint = await this.#source.fingerprint();
      if (fingerprint === this.#fingerprint) return;
      this.#fingerprint = fingerprint;
      const fresh = await this.#source.load();
      if (this.#closed) return;
      this.#apply(fresh);
      this.#log.info("loaded the changed certificates of the peer network");
    } catch (error) {
      this.#log.warn("kept the old certificates: the changed files can not be used", { error });
    }
  }
}
