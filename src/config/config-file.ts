// Reads a configuration file in etcd's form: YAML (or JSON) whose keys are the flags' names, with TLS
// and socket settings in sections of their own. Durations may be nanoseconds, as etcd wants them, or
// text as on the command line. Keys that are unknown are told and left alone, as etcd leaves them.

import { readFile } from "node:fs/promises";
import { checked, type FlagTexts } from "./arguments.ts";
import { ConfigError, nearest } from "./config-error.ts";
import { type FlagName, flagNames, flags, isFlagName } from "./flag-table.ts";

/** Flags by the keys of a section, where the two differ from `prefix + key`. */
const sections: Readonly<Record<string, Readonly<Record<string, FlagName>>>> = {
  "client-transport-security": {
    "cert-file": "cert-file",
    "key-file": "key-file",
    "client-cert-file": "client-cert-file",
    "client-key-file": "client-key-file",
    "client-cert-auth": "client-cert-auth",
    "trusted-ca-file": "trusted-ca-file",
    "auto-tls": "auto-tls",
    "allowed-hostname": "client-cert-allowed-hostname",
  },
  "peer-transport-security": {
    "cert-file": "peer-cert-file",
    "key-file": "peer-key-file",
    "client-cert-file": "peer-client-cert-file",
    "client-key-file": "peer-client-key-file",
    "client-cert-auth": "peer-client-cert-auth",
    "trusted-ca-file": "peer-trusted-ca-file",
    "auto-tls": "peer-auto-tls",
    "allowed-cn": "peer-cert-allowed-cn",
    "allowed-hostname": "peer-cert-allowed-hostname",
    "skip-client-san-verification": "peer-skip-client-san-verification",
  },
  "socket-options": {
    "reuse-port": "socket-reuse-port",
    "reuse-address": "socket-reuse-address",
  },
};

export interface ParsedFile {
  readonly texts: FlagTexts;
  readonly warnings: readonly string[];
}

/** Reads and checks the file; throws a ConfigError that names the file and the key. */
export async function readConfigFile(path: string): Promise<ParsedFile> {
  return parseConfigFile(await readSettings(path), path);
}

async function readSettings(path: string): Promise<unknown> {
  let source: string;
  try {
    source = await readFile(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`the configuration file can not be read: ${reason}`, {
      hint: "Check the path that --config-file or ETCD_CONFIG_FILE gives.",
    });
  }
  const { parse } = await import("yaml");
  try {
    return parse(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${path} is not valid YAML: ${reason.trimEnd()}`);
  }
}

/** The settings of a parsed file. */
export function parseConfigFile(settings: unknown, path: string): ParsedFile {
  const texts = new Map<FlagName, string>();
  const warnings: string[] = [];
  const source = settings ?? {};
  if (!isMapping(source)) throw new ConfigError(`${path} does not hold settings (key: value)`);
  const set = (name: FlagName, key: string, value: unknown) => {
    if (value === null || value === undefined) return;
    texts.set(name, checked(name, textOf(name, value), `${key} in ${path}`, 1));
  };
  for (const [key, value] of Object.entries(source)) {
    const section = sections[key];
    if (section !== undefined) {
      if (!isMapping(value)) throw new ConfigError(`invalid ${key} in ${path}: it is a section`);
      for (const [inner, innerValue] of Object.entries(value)) {
        const name = section[inner];
        if (name !== undefined) set(name, `${key}.${inner}`, innerValue);
        else
          warnings.push(unknownKey(`${key}.${inner}`, path, nearest(inner, Object.keys(section))));
      }
    } else if (isFlagName(key)) {
      set(key, key, value);
    } else {
      warnings.push(unknownKey(key, path, nearest(key, [...flagNames, ...Object.keys(sections)])));
    }
  }
  return { texts, warnings };
}

function unknownKey(key: string, path: string, near: string | undefined): string {
  return `unknown key ${key} in ${path} is ignored${near ? `; did you mean ${near}?` : ""}`;
}

/** A YAML value as the command line would write it. */
function textOf(name: FlagName, value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join(",");
  if (typeof value === "number" && flags[name].kind === "duration") return `${value}ns`;
  return String(value);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
