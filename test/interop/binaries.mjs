// The foreign programs that the interop suites and benchmarks run: built from the Go modules pinned in
// go/*/go.mod into .cache/bin, and only when those files have changed. PORTAL_INTEROP_BIN names a folder
// that already has them.
//
//   node test/interop/binaries.mjs      builds what is missing
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fail, formatDuration, say } from "../../tools/support.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const cacheFolder = join(here, ".cache/bin");

/** Module folder under go/ -> its binaries and the packages they are built from. */
const modules = {
  etcd: {
    etcd: ".",
    etcdctl: "go.etcd.io/etcd/etcdctl/v3",
    etcdutl: "go.etcd.io/etcd/etcdutl/v3",
  },
  porcupine: {
    porcupine: ".",
  },
  robustness: {
    // A package of tests becomes a program of its own.
    "robustness.test": "go.etcd.io/etcd/tests/v3/robustness",
    "etcd-with-endpoint": "./etcd-with-endpoint",
  },
  benchmark: {
    benchmark: "go.etcd.io/etcd/v3/tools/benchmark",
  },
  judges: {
    h2spec: "github.com/summerwind/h2spec/cmd/h2spec",
    "grpc-interop-client": "google.golang.org/grpc/interop/client",
    "grpc-interop-server": "google.golang.org/grpc/interop/server",
    connectconformance: "connectrpc.com/conformance/cmd/connectconformance",
  },
};

/** The folder with all binaries; builds them first when needed. Ends the process when that fails. */
export function ensureBinaries() {
  const given = process.env.PORTAL_INTEROP_BIN;
  if (given) {
    requireAll(given);
    return given;
  }
  for (const [module, binaries] of Object.entries(modules)) buildModule(module, binaries);
  return cacheFolder;
}

/** The path of one binary. */
export function binary(name) {
  return join(ensureBinaries(), name);
}

function requireAll(folder) {
  const names = Object.values(modules).flatMap((binaries) => Object.keys(binaries));
  const missing = names.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) fail(`PORTAL_INTEROP_BIN has no ${missing.join(", ")}`);
}

function buildModule(module, binaries) {
  const folder = join(here, "go", module);
  const stamp = join(cacheFolder, `.${module}.stamp`);
  const inputs = hashOf(folder, binaries);
  const isThere = Object.keys(binaries).every((name) => existsSync(join(cacheFolder, name)));
  if (isThere && existsSync(stamp) && readFileSync(stamp, "utf8") === inputs) return;
  mkdirSync(cacheFolder, { recursive: true });
  for (const [name, target] of Object.entries(binaries)) {
    const started = performance.now();
    build(folder, target, join(cacheFolder, name));
    say(`built ${name} in ${formatDuration(performance.now() - started)}`);
  }
  writeFileSync(stamp, inputs);
}

function build(folder, target, output) {
  const verb = output.endsWith(".test") ? ["test", "-c"] : ["build"];
  const args = [...verb, "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", output, target];
  const result = spawnSync("go", args, {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off" },
  });
  if (result.error?.code === "ENOENT") {
    fail("go was not found. The interop suites build foreign programs with Go 1.26 or newer.");
  }
  if (result.status !== 0) fail(`go build ${target} failed (see above)`);
}

function hashOf(folder, binaries) {
  const hash = createHash("sha256").update(JSON.stringify(binaries));
  for (const name of readdirSync(folder).sort()) {
    if (/^go\.(mod|sum)$|\.go$/.test(name))
      hash.update(name).update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(ensureBinaries());
}
