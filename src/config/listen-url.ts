// The addresses a member listens on and advertises: http, https, unix and unixs URLs, with the rules
// and texts that etcd has for them.

/** One address to listen on. */
export interface ListenUrl {
  /** As it was given, trimmed. */
  readonly url: string;
  readonly secure: boolean;
  readonly target:
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string };
}

/** Parses one URL; a string result is the reason why it is none. */
export function parseListenUrl(text: string): ListenUrl | string {
  const url = text.trim();
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/)?(.*)$/.exec(url);
  const scheme = match?.[1]?.toLowerCase();
  const rest = match?.[2] ?? "";
  if (scheme === "unix" || scheme === "unixs") {
    if (rest === "") return `the socket's path is missing: ${url}`;
    return { url, secure: scheme === "unixs", target: { kind: "unix", path: rest } };
  }
  if (scheme !== "http" && scheme !== "https") {
    return `URL scheme must be http, https, unix, or unixs: ${url}`;
  }
  const slash = rest.indexOf("/");
  const authority = slash === -1 ? rest : rest.slice(0, slash);
  const hostPort = /^(\[[^\]]*\]|[^:[\]]*):(\d{1,5})$/.exec(authority);
  if (!hostPort || Number(hostPort[2]) > 65_535) {
    return `URL address does not have the form "host:port": ${url}`;
  }
  if (slash !== -1) return `URL must not contain a path: ${url}`;
  const host = hostPort[1]!.replace(/^\[|\]$/g, "");
  return {
    url,
    secure: scheme === "https",
    target: { kind: "tcp", host, port: Number(hostPort[2]) },
  };
}

/** Parses a comma-separated list, without repeats, in etcd's order (sorted); a string is the reason why it can not. */
export function parseListenUrls(text: string): readonly ListenUrl[] | string {
  const parsed = new Map<string, ListenUrl>();
  for (const part of text.split(",")) {
    const one = parseListenUrl(part);
    if (typeof one === "string") return one;
    parsed.set(one.url, one);
  }
  return [...parsed.values()].sort((a, b) => (a.url < b.url ? -1 : 1));
}

/** True for an address that stands for all of the machine's addresses. */
export function isWildcard(listen: ListenUrl): boolean {
  return listen.target.kind === "tcp" && ["", "0.0.0.0", "::"].includes(listen.target.host);
}

/** What to hand to `listen`. "localhost" means 127.0.0.1, as it does for etcd, whatever the resolver prefers. */
export function bindHost(host: string): string {
  if (host === "localhost") return "127.0.0.1";
  return host === "" ? "::" : host;
}

export function isIpAddress(host: string): boolean {
  if (/^\d+(\.\d+){3}$/.test(host)) return host.split(".").every((part) => Number(part) <= 255);
  return host.includes(":") && URL.canParse(`http://[${host}]/`);
}
