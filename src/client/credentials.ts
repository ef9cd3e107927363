// Who the client is. A name and a password become a token, asked for when the first call needs one and
// again when the server calls it stale; callers that wait at the same time share one request.

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

export class TokenSource {
  readonly #authenticate: (signal: AbortSignal | undefined) => Promise<string>;
  #token: string | undefined;
  #pending: Promise<string> | undefined;

  constructor(authenticate: (signal: AbortSignal | undefined) => Promise<string>) {
    this.#authenticate = authenticate;
  }

  async get(signal?: AbortSignal): Promise<string> {
    if (this.#token !== undefined) return this.#token;
    this.#pending ??= this.#authenticate(signal).finally(() => {
      this.#pending = undefined;
    });
    this.#token = await this.#pending;
    return this.#token;
  }

  /** Forgets `token`, unless a newer one has replaced it. */
  invalidate(token: string): void {
    if (this.#token === token) this.#token = undefined;
  }

  invalidateCurrent(): void {
    this.#token = undefined;
  }
}
