// What a channel connects to: the forms of an address that gRPC and etcd clients accept.

import { Status, StatusError } from "../../base/status.ts";

export interface Endpoint {
  /** Host and port, or the path of a unix socket. */
  readonly host: string;
  readonly port: number;
  readonly path: string | undefined;
  /** What goes into :authority unless the channel names another. */
  readonly authority: string;
  /** From "https://" or "http://"; undefined when the target does not say. */
  readonly secure: boolean | undefined;
}

/**
 * Reads `host:port`, `[v6]:port`, `http://…`, `https://…`, `dns:///…`, `ipv4:a,b`, `ipv6:a,b`,
 * `unix:path` and `unix:///path`. Throws a StatusError INVALID_ARGUMENT on anything else.
 */
export function parseTargets(targets: string | readonly string[]): Endpoint[] {
  const list = typeof targets === "string" ? [targets] : targets;
  const endpoints = list.flatMap(parseTarget);
  if (endpoints.length === 0) throw invalid("", "there is none");
  return endpoints;
}

function parseTarget(target: string): Endpoint[] {
  const scheme = /^([a-z0-9+]+):(?!\d+$)(\/\/)?/i.exec(target);
  const rest = scheme === null ? target : target.slice(scheme[0].length);
  switch (scheme?.[1]?.toLowerCase()) {
    case undefined:
      return [parseHostPort(target, target, undefined)];
    case "http":
    case "https": {
      const secure = target.toLowerCase().startsWith("https");
      return [parseHostPort(rest.replace(/\/.*$/, ""), target, secure)];
    }
    case "unix":
    case "unixs":
      if (rest === "") throw invalid(target, "the path is missing");
      return [{ host: "", port: 0, path: rest, authority: "localhost", secure: undefined }];
    case "dns":
      return [parseHostPort(rest.replace(/^.*\//, ""), target, undefined)];
    case "ipv4":
    case "ipv6":
      return rest.split(",").map((one) => parseHostPort(one, target, undefined));
    default:
      // "localhost:http" and the like have no scheme but no port either.
      throw invalid(target, "the scheme is not known");
  }
}

function parseHostPort(text: string, target: string, secure: boolean | undefined): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:/[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) throw invalid(target, "it is not host:port");
  const port = Number(match[3]);
  if (port > 65_535) throw invalid(target, "the port is over 65535");
  const host = (match[1] ?? match[2]) as string;
  return { host, port, path: undefined, authority: text, secure };
}

function invalid(target: string, why: string): StatusError {
  return new StatusError(
    Status.INVALID_ARGUMENT,
    `Cannot use target ${JSON.stringify(target)}: ${why}`,
  );
}
