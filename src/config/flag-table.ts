// Every flag the server takes. The names, kinds and defaults are etcd 3.7.3's; the type of the
// settings follows from this table.

import type { Flag } from "./flag.ts";
import { clusterFlags, memberFlags } from "./member-flags.ts";
import {
  authFlags,
  observationFlags,
  ownFlags,
  securityFlags,
  tuningFlags,
} from "./service-flags.ts";

/** The flags as the help shows them. */
export const flagGroups = [
  ["Member", memberFlags],
  ["Clustering", clusterFlags],
  ["Security", securityFlags],
  ["Auth", authFlags],
  ["Profiling, monitoring and logging", observationFlags],
  ["Tuning and unsafe flags", tuningFlags],
  ["Portal's own", ownFlags],
] as const;

const flagTable = {
  ...memberFlags,
  ...clusterFlags,
  ...securityFlags,
  ...authFlags,
  ...observationFlags,
  ...tuningFlags,
  ...ownFlags,
} as const;

export type FlagName = keyof typeof flagTable;

/** The value of every flag, by its name. */
export type FlagValues = {
  -readonly [Name in FlagName]: (typeof flagTable)[Name] extends Flag<infer Value> ? Value : never;
};

/** The same table without the types of the values. */
export const flags: Readonly<Record<FlagName, Flag<unknown>>> = flagTable;

export const flagNames = Object.keys(flagTable) as readonly FlagName[];

export function isFlagName(name: string): name is FlagName {
  return Object.hasOwn(flagTable, name);
}

/** Flags of etcd 2 that etcd still takes and does nothing with; they need no value. */
export const forgottenFlags: ReadonlySet<string> = new Set([
  "cluster-active-size",
  "cluster-remove-delay",
  "cluster-sync-interval",
  "config",
  "force",
  "max-result-buffer",
  "max-retry-attempts",
  "peer-heartbeat-interval",
  "peer-election-timeout",
  "retry-interval",
  "snapshot",
  "v",
  "vv",
]);

/** The defaults of all flags; a fresh object each time. */
export function defaultFlagValues(): FlagValues {
  const values = Object.fromEntries(flagNames.map((name) => [name, flags[name].defaultValue]));
  return values as FlagValues;
}
