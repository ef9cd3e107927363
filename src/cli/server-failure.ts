// Says in words why a server could not start or go on, and what to do about it.

import { AssertionError } from "../base/assert.ts";
import { StatusError } from "../base/status.ts";
import { ConfigError } from "../config/config-error.ts";

export interface Explanation {
  readonly message: string;
  /** What to do next; empty when the message says it. */
  readonly hint: string;
  /** Where it happened; only for our own bugs. */
  readonly stack?: string;
}

interface SystemError extends Error {
  readonly code?: string;
  readonly syscall?: string;
  readonly path?: string;
  readonly address?: string;
  readonly port?: number;
}

/** `dataDir` is named where the disk is to blame. */
export function explainServerFailure(error: unknown, dataDir: string): Explanation {
  if (error instanceof ConfigError) return { message: error.message, hint: error.hint };
  if (error instanceof StatusError) {
    return { message: error.message, hint: clusterHint(error.message) };
  }
  if (!(error instanceof Error)) return { message: String(error), hint: "" };
  const known = explainSystemError(error, dataDir);
  if (known !== undefined) return known;
  const isBug = error instanceof AssertionError || (error as SystemError).code === undefined;
  return {
    message: error.message,
    hint: isBug ? "This is a bug in Portal; please report it with the lines above." : "",
    ...(isBug && error.stack !== undefined ? { stack: error.stack } : {}),
  };
}

/** What to do about a cluster that can not be founded or joined. */
function clusterHint(message: string): string {
  return clusterHints.find(([pattern]) => pattern.test(message))?.[1] ?? "";
}

const clusterHints: readonly (readonly [RegExp, string])[] = [
  [
    /^couldn't find local name/,
    "Give the member one of the names in --initial-cluster with --name.",
  ],
  [
    /but missing from --initial/,
    "What --initial-cluster says of this member and --initial-advertise-peer-urls must be the same.",
  ],
  [/has duplicate url/, "Each member needs peer URLs of its own."],
  [
    /has already been bootstrapped/,
    "Its data are gone, but the cluster remembers it: `portal member remove` it, `portal member add` it again, and start it with --initial-cluster-state=existing.",
  ],
  [
    /could not retrieve cluster information/,
    "Check that the other members run, and that their URLs in --initial-cluster lead to them.",
  ],
  [
    /member count is unequal|no match found for existing member/,
    "`portal member add` this member first; --initial-cluster must then name all members as `portal member list` shows them.",
  ],
  [
    /^incompatible with current running cluster/,
    "The others run another version, or can not be asked: see their /version pages.",
  ],
];

function explainSystemError(error: SystemError, dataDir: string): Explanation | undefined {
  if (error.syscall === "listen" || error.syscall === "bind") {
    // The port of a unix socket is -1.
    const isTcp = error.port !== undefined && error.port >= 0;
    const where = isTcp ? `${error.address}:${error.port}` : (error.address ?? "");
    return explainListenError(error, where);
  }
  switch (error.code) {
    case "EACCES":
    case "EPERM":
      return {
        message: `no permission for ${error.path ?? dataDir}`,
        hint: "Run as the user who owns the data directory, or choose another --data-dir.",
      };
    case "EROFS":
      return {
        message: `${error.path ?? dataDir} lies on a read-only file system`,
        hint: "Choose a --data-dir that can be written.",
      };
    case "ENOSPC":
    case "EDQUOT":
      return {
        message: `no space left for the data directory ${dataDir}`,
        hint: "Free some space on that disk, then start again: nothing that was acknowledged is lost.",
      };
    case "ENOTDIR":
    case "EEXIST":
      return {
        message: `${error.path ?? dataDir} is not a folder`,
        hint: "Choose another --data-dir, or move that file away.",
      };
    case "EMFILE":
    case "ENFILE":
      return { message: "too many open files", hint: "Raise the limit: ulimit -n 65536." };
    default:
      return undefined;
  }
}

function explainListenError(error: SystemError, where: string): Explanation | undefined {
  switch (error.code) {
    case "EADDRINUSE":
      return {
        message: `the address ${where} is in use`,
        hint: "Another server listens there, perhaps etcd or another Portal. Stop it, or listen elsewhere: --listen-client-urls http://127.0.0.1:2479 --listen-peer-urls http://127.0.0.1:2480.",
      };
    case "EADDRNOTAVAIL":
      return {
        message: `${where} is not an address of this machine`,
        hint: "Listen on an address of this machine, or on 0.0.0.0 for all of them.",
      };
    case "EACCES":
      return {
        message: `no permission to listen on ${where}`,
        hint: "Ports below 1024 need privileges; choose a higher one.",
      };
    default:
      return undefined;
  }
}
