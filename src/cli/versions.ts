// Which version this is.

import { readFileSync } from "node:fs";

/** Of the etcd API. */
export const API_VERSION = "3.7";

export const PORTAL_VERSION = readPackageVersion();

/** The sources lie in src/cli, what is built from them in dist/src/cli. */
function readPackageVersion(): string {
  for (const path of ["../../package.json", "../../../package.json"]) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), "utf8");
      const { name, version } = JSON.parse(text) as { name: string; version: string };
      if (name === "portal-kv") return version;
    } catch {
      // Not at this level.
    }
  }
  return "unknown";
}
