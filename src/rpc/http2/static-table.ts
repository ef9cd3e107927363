// HPACK's static table (RFC 7541 appendix A): indexes 1 to 61.

// biome-ignore format: one entry a pair
const ENTRIES: readonly string[] = [
  ":authority", "", ":method", "GET", ":method", "POST", ":path", "/", ":path", "/index.html",
  ":scheme", "http", ":scheme", "https", ":status", "200", ":status", "204", ":status", "206",
  ":status", "304", ":status", "400", ":status", "404", ":status", "500", "accept-charset", "",
  "accept-encoding", "gzip, deflate", "accept-language", "", "accept-ranges", "", "accept", "",
  "access-control-allow-origin", "", "age", "", "allow", "", "authorization", "", "cache-control", "",
  "content-disposition", "", "content-encoding", "", "content-language", "", "content-length", "",
  "content-location", "", "content-range", "", "content-type", "", "cookie", "", "date", "", "etag", "",
  "expect", "", "expires", "", "from", "", "host", "", "if-match", "", "if-modified-since", "",
  "if-none-match", "", "if-range", "", "if-unmodified-since", "", "last-modified", "", "link", "",
  "location", "", "max-forwards", "", "proxy-authenticate", "", "proxy-authorization", "", "range", "",
  "referer", "", "refresh", "", "retry-after", "", "server", "", "set-cookie", "",
  "strict-transport-security", "", "transfer-encoding", "", "user-agent", "", "vary", "", "via", "",
  "www-authenticate", "",
];

export const STATIC_ENTRIES = ENTRIES.length / 2;

/** By index; entry 0 is unused. */
export const staticNames: readonly string[] = ["", ...ENTRIES.filter((_, i) => i % 2 === 0)];
export const staticValues: readonly string[] = ["", ...ENTRIES.filter((_, i) => i % 2 === 1)];

/** The lowest index with this name. */
export const staticIndexByName: ReadonlyMap<string, number> = new Map(
  staticNames
    .map((name, index): [string, number] => [name, index])
    .slice(1)
    .reverse(),
);

/** The key under which name and value are looked up. Neither can hold a NUL. */
export function fieldKey(name: string, value: string): string {
  return `${name}\0${value}`;
}

export const staticIndexByField: ReadonlyMap<string, number> = new Map(
  staticNames
    .map((name, index): [string, number] => [fieldKey(name, staticValues[index] as string), index])
    .slice(1),
);
