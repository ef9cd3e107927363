// URLs of members as they come in requests and flags: etcd's rules for them, and its order.

/** The URLs, trimmed and sorted; a string is the reason why they can not be a member's. */
export function parseMemberUrls(texts: readonly string[]): readonly string[] | string {
  if (texts.length === 0) return "no valid URLs given";
  const urls: string[] = [];
  for (const text of texts) {
    const url = text.trim();
    const refusal = refuseUrl(url);
    if (refusal !== undefined) return refusal;
    urls.push(url);
  }
  return urls.sort();
}

function refuseUrl(url: string): string | undefined {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]*):(?:\/\/)?(.*)$/i.exec(url) ?? [];
  if (/^unixs?$/i.test(scheme)) return undefined;
  if (!/^https?$/i.test(scheme)) return `URL scheme must be http, https, unix, or unixs: ${url}`;
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  if (!/^(\[[^\]]*\]|[^:[\]]*):\d*$/.test(authority)) {
    return `URL address does not have the form "host:port": ${url}`;
  }
  return slash < 0 ? undefined : `URL must not contain a path: ${url}`;
}
