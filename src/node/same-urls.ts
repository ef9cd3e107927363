// Whether two lists of URLs lead to the same places: equal as texts, or after names were looked up.

type LookUpHost = (name: string) => Promise<string>;

const isAddress = /^[\d.]+$|^\[/;

export async function sameUrls(
  left: readonly string[],
  right: readonly string[],
  lookUpHost: LookUpHost,
): Promise<boolean> {
  if (left.length !== right.length) return false;
  const plain = (urls: readonly string[]) => urls.map(normalized).sort().join(" ");
  if (plain(left) === plain(right)) return true;
  try {
    const [a, b] = await Promise.all([resolved(left, lookUpHost), resolved(right, lookUpHost)]);
    return plain(a) === plain(b);
  } catch {
    // A name that nobody knows leads nowhere.
    return false;
  }
}

/** Names of hosts are the same in upper and lower case. */
function normalized(url: string): string {
  const [, scheme = "", rest = ""] = /^([^:]*:\/\/)(.*)$/.exec(url) ?? [undefined, "", url];
  return scheme.startsWith("unix") ? url : scheme + rest.toLowerCase();
}

function resolved(urls: readonly string[], lookUpHost: LookUpHost): Promise<string[]> {
  return Promise.all(
    urls.map(async (url) => {
      const match = /^(https?:\/\/)(.+)(:\d+)$/.exec(url);
      if (!match) return url;
      const [, scheme, host, port] = match as unknown as [string, string, string, string];
      if (host === "localhost" || isAddress.test(host)) return url;
      const address = await lookUpHost(host);
      return `${scheme}${address.includes(":") ? `[${address}]` : address}${port}`;
    }),
  );
}
