// Whether two lists of URLs lead to the same places: equal as texts, or after names were looked up.

type LookUpHost = (name: string) => Promise<string>;

const isAddress = /^[\d.]+$|^\[/;

export async function sameUrls(
  left: readonly string[],
  right: readonly string[],
  lookUpHost: LookUpHost,
): Promise<boolean> {
  return (await whyDifferent(left, right, lookUpHost)) === undefined;
}

/** Undefined when they lead to the same places; else the reason, in etcd's words. */
export async function whyDifferent(
  left: readonly string[],
  right: readonly string[],
  lookUpHost: LookUpHost,
): Promise<string | undefined> {
  if (left.length !== right.length) return `len(${quoted(left)}) != len(${quoted(right)})`;
  if (firstDifference(left, right) === undefined) return undefined;
  try {
    const [a, b] = await Promise.all([resolved(left, lookUpHost), resolved(right, lookUpHost)]);
    const pair = firstDifference(a, b);
    return pair && `resolved urls: ${JSON.stringify(pair[0])} != ${JSON.stringify(pair[1])}`;
  } catch (error) {
    // A name that nobody knows leads nowhere.
    return error instanceof Error ? error.message : String(error);
  }
}

function firstDifference(
  left: readonly string[],
  right: readonly string[],
): readonly [string, string] | undefined {
  const [a, b] = [left, right].map((urls) => urls.map(normalized).sort()) as [string[], string[]];
  const at = a.findIndex((url, i) => url !== b[i]);
  return at < 0 ? undefined : [a[at] as string, b[at] as string];
}

function quoted(urls: readonly string[]): string {
  return `[${urls.map((url) => JSON.stringify(url)).join(" ")}]`;
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
