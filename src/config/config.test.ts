import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ConfigError, nearest } from "./config-error.ts";
import { formatDuration, parseDuration } from "./durations.ts";
import { flagNames, flags } from "./flag-table.ts";
import { bindHost, parseListenUrl, parseListenUrls } from "./listen-url.ts";
import { type Program, parseServerConfig, type ServerConfig } from "./server-config.ts";

async function parse(
  argv: string[],
  options: { program?: Program; environment?: Record<string, string> } = {},
): Promise<{ config: ServerConfig; warnings: readonly string[] }> {
  const parsed = await parseServerConfig(
    options.program ?? "etcd",
    argv,
    options.environment ?? {},
  );
  if (typeof parsed === "string") throw new Error(`asked for ${parsed}`);
  return parsed;
}

async function refusal(argv: string[], environment?: Record<string, string>) {
  const error = await parse(argv, environment ? { environment } : {}).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConfigError)) throw new Error(`expected a ConfigError, got ${error}`);
  return { message: error.message, hint: error.hint, exitCode: error.exitCode };
}

test("durations as Go reads and prints them", () => {
  const cases: [string, number | undefined][] = [
    ["300ms", 300],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    [".5s", 500],
    ["0", 0],
    ["-2s", -2_000],
    ["250us", 0.25],
    ["250µs", 0.25],
    ["5", undefined],
    ["5x", undefined],
    ["", undefined],
    ["1s x", undefined],
  ];
  for (const [text, expected] of cases) expect(parseDuration(text), text).toBe(expected);
  const printed = [0, 0.25, 300, 1_500, 90_000, 7_200_000, -1_000].map(formatDuration);
  expect(printed).toEqual(["0s", "250µs", "300ms", "1.5s", "1m30s", "2h0m0s", "-1s"]);
});

test("URLs to listen on", () => {
  expect(parseListenUrl(" http://[::1]:2379 ")).toMatchObject({
    url: "http://[::1]:2379",
    secure: false,
    target: { kind: "tcp", host: "::1", port: 2379 },
  });
  expect(parseListenUrl("unixs://localhost:20000")).toMatchObject({
    secure: true,
    target: { kind: "unix", path: "localhost:20000" },
  });
  expect(parseListenUrl("unix:///tmp/a.sock")).toMatchObject({ target: { path: "/tmp/a.sock" } });
  for (const bad of ["foo", "ftp://a:1", "http://a", "http://a:1/x", "http://a:99999", "unix://"]) {
    expect(typeof parseListenUrl(bad), bad).toBe("string");
  }
  const sorted = parseListenUrls("http://b:1,http://a:1,http://b:1");
  expect(typeof sorted === "string" ? sorted : sorted.map((one) => one.url)).toEqual([
    "http://a:1",
    "http://b:1",
  ]);
  expect([bindHost("localhost"), bindHost(""), bindHost("::1")]).toEqual([
    "127.0.0.1",
    "::",
    "::1",
  ]);
});

test("every default can be read back from its text", () => {
  for (const name of flagNames) {
    const flag = flags[name];
    expect(flag.parse(flag.defaultText), name).toEqual(flag.defaultValue);
    expect(flag.help, name).toMatch(/\S[.)]$/);
  }
});

test("defaults are etcd's", async () => {
  const { config, warnings } = await parse([]);
  expect(config).toMatchObject({
    name: "default",
    dataDir: "default.etcd",
    heartbeatIntervalMs: 100,
    electionTimeoutMs: 1_000,
    snapshotCount: 10_000,
    quotaBackendBytes: 2 * 1024 ** 3,
    maxTxnOps: 128,
    maxRequestBytes: 1_572_864,
    maxConcurrentStreams: 4_294_967_295,
    keepaliveMinTimeMs: 5_000,
    keepaliveIntervalMs: 7_200_000,
    keepaliveTimeoutMs: 20_000,
    watchProgressNotifyIntervalMs: 600_000,
    backendBatchIntervalMs: 100,
    backendBatchLimit: 10_000,
    initialCluster: [{ name: "default", peerUrls: ["http://localhost:2380"] }],
    initialClusterToken: "etcd-cluster",
    advertiseClientUrls: ["http://localhost:2379"],
  });
  expect(warnings.join()).toContain("default name");
  const portal = await parse([], { program: "portal" });
  expect(portal.config.dataDir).toBe("./portal-data");
  expect(portal.config.log.isExplicit).toBe(false);
  expect(portal.warnings).toEqual([]);
});

test("both ways to write a flag, and the last one wins", async () => {
  const { config } = await parse([
    "--name=a",
    "-name",
    "m1",
    "--auto-tls",
    "--snapshot-count",
    "7",
    "--unsafe-no-fsync=false",
    "--quota-backend-bytes=-1",
  ]);
  expect(config.name).toBe("m1");
  expect(config.dataDir).toBe("m1.etcd");
  expect(config.tls.autoTls).toBe(true);
  expect(config.snapshotCount).toBe(7);
  expect(config.unsafeNoFsync).toBe(false);
  expect(config.quotaBackendBytes).toBe(Number.POSITIVE_INFINITY);
  expect(config.initialCluster).toEqual([{ name: "m1", peerUrls: ["http://localhost:2380"] }]);
});

test("several members, each with its URLs in order", async () => {
  const cluster = "m1=http://c:1,m2=http://b:2,m1=http://a:1,m2=https://[::1]:4";
  const { config } = await parse(["--name=m1", `--initial-cluster=${cluster}`]);
  expect(config.initialCluster).toEqual([
    { name: "m1", peerUrls: ["http://a:1", "http://c:1"] },
    { name: "m2", peerUrls: ["http://b:2", "https://[::1]:4"] },
  ]);
  expect(config).toMatchObject({ strictReconfigCheck: true, maxLearners: 1, preVote: true });
});

test("help and version are asked for, not errors", async () => {
  expect(await parseServerConfig("etcd", ["--version"], {})).toBe("version");
  expect(await parseServerConfig("portal", ["-h"], {})).toBe("help");
});

test("mistakes are told with a way out and etcd's exit status", async () => {
  expect(await refusal(["--data-dri=x"])).toEqual({
    message: "flag provided but not defined: --data-dri",
    hint: "Did you mean --data-dir?",
    exitCode: 2,
  });
  expect(await refusal(["--heartbeat-interval=abc"])).toMatchObject({
    message:
      'invalid value "abc" for flag --heartbeat-interval: it must be a whole number, 0 or more',
    exitCode: 2,
  });
  expect(await refusal(["--name"])).toMatchObject({
    message: "flag needs an argument: --name",
    exitCode: 2,
  });
  expect(await refusal(["foo"])).toMatchObject({
    message: '"foo" is not a valid flag',
    exitCode: 1,
  });
  expect(await refusal([], { ETCD_HEARTBEAT_INTERVAL: "z" })).toMatchObject({ exitCode: 1 });
  for (const argv of [
    ["--pre-vote=maybe"],
    ["--corrupt-check-time=5x"],
    ["--listen-client-urls=foo"],
    ["--feature-gates=Foo=true"],
    ["--initial-cluster-state=foo"],
    ["--log-level=bogus"],
  ]) {
    expect(await refusal(argv), argv[0]).toMatchObject({ exitCode: 2 });
  }
});

test("settings that contradict each other are refused", async () => {
  const cases: [string[], string][] = [
    [["--heartbeat-interval=900"], "should be at least as 5 times"],
    [["--election-timeout=60000"], "is too long"],
    [["--heartbeat-interval=0"], "must be >0"],
    [["--listen-client-urls=http://127.0.0.1:1"], "--advertise-client-urls is required"],
    [["--listen-peer-urls=http://example.com:1"], "expected IP in URL for binding"],
    [["--initial-cluster=a=b"], "URL scheme must be http, https, unix, or unixs: b"],
    [["--initial-cluster=a"], "error setting up initial cluster: URL scheme must be"],
    [["--initial-cluster=a=http://b"], 'URL address does not have the form "host:port": http://b'],
    [["--initial-cluster=a=http://b:1/c"], "URL must not contain a path"],
    [["--discovery-endpoints=http://a:1"], "both --discovery-token and --discovery-endpoints"],
    [["--discovery-srv=example.com"], "can not find the other members by a discovery service"],
    [["--discovery-srv=a", "--initial-cluster=a=http://b:1"], "multiple discovery or bootstrap"],
    [["--peer-cert-file=x"], "--peer-cert-file and --peer-key-file must be given together"],
    [["--listen-peer-urls=https://127.0.0.1:1"], "must be provided for peer url"],
    [["--peer-client-cert-auth"], "--peer-trusted-ca-file"],
    [["--cert-file=x"], "must be given together"],
    [["--client-cert-auth", "--auto-tls"], "--trusted-ca-file"],
    [
      ["--listen-client-urls=https://127.0.0.1:1", "--advertise-client-urls=https://127.0.0.1:1"],
      "TLS key/cert (--cert-file, --key-file) must be provided",
    ],
    [["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"], "greater than max version"],
    [["--io-threads=2"], "--io-threads"],
  ];
  for (const [argv, text] of cases) {
    expect(await refusal(argv), argv.join(" ")).toMatchObject({
      message: expect.stringContaining(text),
      exitCode: 1,
    });
  }
});

test("portal advertises where it listens unless that means every address", async () => {
  const { config } = await parse(["--listen-client-urls=http://127.0.0.1:4000"], {
    program: "portal",
  });
  expect(config.advertiseClientUrls).toEqual(["http://127.0.0.1:4000"]);
  await expect(
    parse(["--listen-client-urls=http://0.0.0.0:4000"], { program: "portal" }),
  ).rejects.toThrow("--advertise-client-urls is required");
});

test("the environment fills in what the command line leaves open", async () => {
  const environment = { ETCD_NAME: "env", ETCD_SNAPSHOT_COUNT: "5", ETCD_NAMME: "x", OTHER: "y" };
  const { config, warnings } = await parse([], { environment });
  expect([config.name, config.snapshotCount]).toEqual(["env", 5]);
  expect(warnings).toEqual([
    "unrecognized environment variable ETCD_NAMME; did you mean ETCD_NAME?",
  ]);
  expect(await refusal(["--name=cli"], environment)).toMatchObject({
    message: expect.stringContaining("ETCD_NAME is shadowed"),
  });
  const portal = await parse(["--name=cli"], { program: "portal", environment });
  expect(portal.config.name).toBe("cli");
  expect(portal.warnings.join()).toContain("ETCD_NAME ignored");
});

test("flags without effect yet are taken and told once", async () => {
  const { warnings } = await parse(["--name=a", "--max-wals=5", "--memory-mlock"]);
  expect(warnings).toEqual(["accepted, but without effect in this version: --memory-mlock"]);
});

test("a configuration file stands alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "portal-config-"));
  try {
    const path = join(folder, "etcd.yaml");
    await writeFile(
      path,
      [
        "name: filed",
        "data-dir: /var/lib/x",
        "snapshot-count: 9",
        "watch-progress-notify-interval: 600000000",
        "grpc-keepalive-timeout: 7s",
        "listen-client-urls: https://127.0.0.1:1,https://127.0.0.1:2",
        "advertise-client-urls: https://127.0.0.1:1",
        "wal-dir:",
        "nmae: x",
        "client-transport-security:",
        "  auto-tls: true",
        "  client-cert-auth: false",
        "  trusted-ca-fil: x",
        "log-outputs: [stderr]",
      ].join("\n"),
    );
    const { config, warnings } = await parse(["--config-file", path, "--name=cli"], {
      environment: { ETCD_SNAPSHOT_COUNT: "1" },
    });
    expect(config).toMatchObject({
      name: "filed",
      dataDir: "/var/lib/x",
      snapshotCount: 9,
      watchProgressNotifyIntervalMs: 600,
      keepaliveTimeoutMs: 7_000,
      tls: { autoTls: true },
      log: { outputs: ["stderr"] },
    });
    expect(config.listenClientUrls).toHaveLength(2);
    expect(warnings).toEqual([
      `unknown key nmae in ${path} is ignored; did you mean name?`,
      `unknown key client-transport-security.trusted-ca-fil in ${path} is ignored; did you mean trusted-ca-file?`,
      `--name ignored: the settings come from ${path}`,
    ]);
    await writeFile(path, "snapshot-count: many\n");
    expect(await refusal([], { ETCD_CONFIG_FILE: path })).toMatchObject({
      message: expect.stringContaining('invalid value "many" for snapshot-count in'),
    });
    await writeFile(path, "a: [1\n");
    expect((await refusal(["--config-file", path])).message).toContain("is not valid YAML");
    expect((await refusal(["--config-file", `${path}.not`])).message).toContain("can not be read");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the nearest word is found, and none when all are far", () => {
  expect(nearest("lisen-client-urls", flagNames)).toBe("listen-client-urls");
  expect(nearest("qqqqqq", flagNames)).toBeUndefined();
});
