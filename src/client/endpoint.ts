// Endpoints as people write them: `host`, `host:port`, `http://…`, `https://…`, `unix:/path`.

import { Status } from "../base/status.ts";
import { PortalError } from "./errors.ts";

export const DEFAULT_PORT = 2379;

export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly secure: boolean }
  | { readonly kind: "unix"; readonly path: string; readonly secure: boolean };

/** Throws a PortalError (INVALID_ARGUMENT) for what is not an endpoint. */
export function parseEndpoint(text: string): Endpoint {
  const trimmed = text.trim();
  const unix = /^unix(s?):(?:\/\/)?(.+)$/.exec(trimmed);
  if (unix) return { kind: "unix", path: unix[2] as string, secure: unix[1] === "s" };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw invalid(text, `its scheme "${scheme}" is none of http, https, unix`);
  }
  const rest = scheme === undefined ? trimmed : trimmed.slice(scheme.length + 3);
  const match = /^(\[[0-9a-f:.%]+\]|[^:/?#[\]\s]+)(?::(\d+))?\/?$/i.exec(rest);
  if (!match) throw invalid(text, "expected host:port");
  const port = match[2] === undefined ? DEFAULT_PORT : Number(match[2]);
  if (port < 1 || port > 65_535) throw invalid(text, `port ${match[2]} is not between 1 and 65535`);
  const host = (match[1] as string).replace(/^\[|\]$/g, "");
  return { kind: "tcp", host, port, secure: scheme === "https" };
}

/** `host:port` or the socket's path, for messages. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === "unix") return endpoint.path;
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  return `${host}:${endpoint.port}`;
}

function invalid(text: string, why: string): PortalError {
  return new PortalError(Status.INVALID_ARGUMENT, `Cannot use endpoint "${text}": ${why}`);
}
