// The certificates that --cacert, --cert and --key name.

import { readFile } from "node:fs/promises";
import type { TlsOptions } from "../client/grpc-transport.ts";
import { badArguments } from "./exit-code.ts";
import type { GlobalOptions } from "./global-options.ts";

/** Undefined when nothing asks for TLS. */
export async function loadTls(
  globals: GlobalOptions,
  endpoints: readonly string[],
): Promise<TlsOptions | undefined> {
  const { caFile, certFile, keyFile, insecureSkipTlsVerify } = globals;
  const isSecure = endpoints.some((endpoint) => /^(https|unixs):/i.test(endpoint));
  if (!isSecure && !caFile && !certFile && !keyFile && !insecureSkipTlsVerify) return undefined;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw badArguments("--cert and --key go together", "give both or neither");
  }
  const [ca, cert, key] = await Promise.all([
    load("cacert", caFile),
    load("cert", certFile),
    load("key", keyFile),
  ]);
  return {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(insecureSkipTlsVerify && { rejectUnauthorized: false }),
  };
}

async function load(flag: string, path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw badArguments(`--${flag}: cannot read ${path}: ${(error as Error).message}`);
  }
}
