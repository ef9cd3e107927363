// Small judges in Go that lie beside etcd's module files (../go/etcd/<name>): built when there is none, or
// taken from the folder that PORTAL_INTEROP_BIN names.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const interop = fileURLToPath(new URL("..", import.meta.url));

/** The path of the built judge. */
export function goJudge(name) {
  const given = process.env.PORTAL_INTEROP_BIN;
  const cache = join(interop, ".cache/bin");
  if (given && given !== cache && existsSync(join(given, name))) return join(given, name);
  mkdirSync(cache, { recursive: true });
  // Go itself knows whether anything has changed.
  const args = ["build", "-mod=readonly", "-o", join(cache, name), `./${name}`];
  execFileSync("go", args, {
    cwd: join(interop, "go/etcd"),
    stdio: "inherit",
    env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off" },
  });
  return join(cache, name);
}
