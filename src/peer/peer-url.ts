// Where a peer can be reached: http, https, unix and unixs URLs, and which of several is in use.

/** One address of a peer. */
export interface PeerAddress {
  readonly url: string;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** A unix socket instead of host and port. */
  readonly socketPath: string | undefined;
}

/** Undefined when the text is no URL that a member can have. */
export function parsePeerUrl(text: string): PeerAddress | undefined {
  const match = /^(https?|unixs?):\/\/(.+)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, scheme = "", rest = ""] = match;
  const secure = scheme.endsWith("s");
  const url = text.trim();
  if (scheme.startsWith("unix")) {
    return { url, secure, host: "localhost", port: 0, socketPath: rest };
  }
  const place = /^(\[[0-9a-fA-F:.%]+\]|[^:[\]/?#@\s]+):(\d{1,5})\/?$/.exec(rest);
  const port = Number(place?.[2]);
  if (place === null || port > 65_535 || port === 0) return undefined;
  const name = (place[1] ?? "").replace(/^\[|\]$/g, "");
  // Members bind "localhost" to the IPv4 loopback address, whatever the resolver prefers.
  const host = name === "localhost" ? "127.0.0.1" : name;
  return { url, secure, host, port, socketPath: undefined };
}

/** The addresses of one peer; keeps to one until it fails. */
export class UrlPicker {
  #addresses: readonly PeerAddress[] = [];
  #picked = 0;

  constructor(urls: readonly string[]) {
    this.update(urls);
  }

  /** Undefined while no address is usable. */
  get current(): PeerAddress | undefined {
    return this.#addresses[this.#picked];
  }

  get count(): number {
    return this.#addresses.length;
  }

  /** Replaces all addresses; ones that can not be parsed are left out. False when they are the same as before. */
  update(urls: readonly string[]): boolean {
    const addresses = urls.map(parsePeerUrl).filter((one) => one !== undefined);
    const text = (list: readonly PeerAddress[]): string => list.map(({ url }) => url).join(",");
    if (text(addresses) === text(this.#addresses)) return false;
    this.#addresses = addresses;
    this.#picked = 0;
    return true;
  }

  /** This address failed: the next one is tried. Late news about another one changes nothing. */
  failed(address: PeerAddress | undefined): void {
    if (address === undefined || address !== this.current) return;
    this.#picked = (this.#picked + 1) % this.#addresses.length;
  }
}
