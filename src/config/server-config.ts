// The settings of one member, typed and checked: what the rest of the server reads. Built from the
// values of the flags; nothing outside this folder knows how a setting was spelled.

import { environmentName, type FlagTexts, parseArguments, parseEnvironment } from "./arguments.ts";
import { ConfigError } from "./config-error.ts";
import { defaultFlagValues, type FlagName, type FlagValues, flags } from "./flag-table.ts";
import { type ClusterMember, parseInitialCluster } from "./initial-cluster.ts";
import { isWildcard, type ListenUrl } from "./listen-url.ts";
import { validate } from "./validate.ts";

/** Which command runs: Portal's own, or the stand-in for etcd's binary. */
export type Program = "portal" | "etcd";

/** Where TLS for clients comes from; see tls.ts. */
export interface TlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  readonly trustedCaFile: string;
  readonly crlFile: string;
  readonly clientCertAuth: boolean;
  /** A client's certificate must carry one of these names; empty lets all in. */
  readonly allowedHostnames: readonly string[];
  readonly autoTls: boolean;
  readonly selfSignedValidityYears: number;
  readonly cipherSuites: readonly string[];
  readonly minVersion: "TLS1.2" | "TLS1.3";
  readonly maxVersion: "" | "TLS1.2" | "TLS1.3";
}

/** Where TLS between members comes from; see peer-tls.ts. The names are those of other members. */
export interface PeerTlsSettings extends TlsSettings {
  /** Shown to other members; empty: the certificate of the server. */
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** A member's certificate must carry one of these as its common name; empty lets all in. */
  readonly allowedCommonNames: readonly string[];
  /** Do not compare where a member comes from with the names in its certificate. */
  readonly skipAddressCheck: boolean;
}

export interface LogSettings {
  readonly level: FlagValues["log-level"];
  readonly format: "json" | "console";
  readonly outputs: readonly string[];
  /** Lines for machines: bin/etcd, or any of the log flags given. Else Portal talks to a person. */
  readonly isExplicit: boolean;
}

export interface ServerConfig {
  readonly program: Program;
  readonly name: string;
  readonly dataDir: string;

  readonly listenClientUrls: readonly ListenUrl[];
  readonly listenClientHttpUrls: readonly ListenUrl[];
  readonly listenMetricsUrls: readonly ListenUrl[];
  readonly listenPeerUrls: readonly ListenUrl[];
  /** False where the addresses for members are the default, which nobody may ever need. */
  readonly listensForPeersOnPurpose: boolean;
  readonly advertiseClientUrls: readonly string[];
  readonly advertisePeerUrls: readonly string[];
  readonly initialCluster: readonly ClusterMember[];
  readonly initialClusterToken: string;
  readonly initialClusterState: "new" | "existing";
  /** Go on as the only member, with what is on disk. */
  readonly forceNewCluster: boolean;
  /** Refuse changes of members that would lose the quorum. */
  readonly strictReconfigCheck: boolean;
  readonly maxLearners: number;

  readonly heartbeatIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly preVote: boolean;
  readonly readMode: FlagValues["read-mode"];
  /** Whether a member that is connected begins its first election sooner. */
  readonly initialElectionTickAdvance: boolean;
  readonly snapshotCount: number;
  /** Log files that stay although nothing needs them; 0: all. */
  readonly maxWals: number;
  readonly snapshotCatchupEntries: number;

  /** Infinity when there is no limit. */
  readonly quotaBackendBytes: number;
  readonly backendBatchIntervalMs: number;
  readonly backendBatchLimit: number;
  readonly unsafeNoFsync: boolean;

  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
  readonly maxConcurrentStreams: number;
  readonly keepaliveMinTimeMs: number;
  /** 0: never. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly watchProgressNotifyIntervalMs: number;
  readonly corsOrigins: readonly string[];
  readonly hostWhitelist: readonly string[];
  readonly extensiveMetrics: boolean;

  readonly tls: TlsSettings;
  readonly peerTls: PeerTlsSettings;
  readonly log: LogSettings;
  readonly ioThreads: number;
}

export interface ParsedConfig {
  readonly config: ServerConfig;
  /** What the operator should know, each to be logged once. */
  readonly warnings: readonly string[];
}

const defaultQuotaBytes = 2 * 1024 ** 3;
const defaultBatchIntervalMs = 100;
const defaultBatchLimit = 10_000;
const defaultProgressIntervalMs = 600_000;
const leastProgressIntervalMs = 100;

/**
 * Reads the command line and the environment, or the configuration file when one is named; then
 * everything else is ignored, as etcd does. `argv` holds the flags only. Resolves to what was asked
 * for when that is not a server. Throws ConfigError.
 */
export async function parseServerConfig(
  program: Program,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ParsedConfig | "help" | "version"> {
  const given = parseArguments(argv);
  if (given.asksFor !== undefined) return given.asksFor;
  const path = given.configFile || (environment.ETCD_CONFIG_FILE ?? "");
  const warnings = [...given.warnings];
  let texts: FlagTexts;
  if (path !== "") {
    const { readConfigFile } = await import("./config-file.ts");
    const file = await readConfigFile(path);
    texts = file.texts;
    warnings.push(...file.warnings);
    if (given.texts.size > 0) {
      const names = [...given.texts.keys()].map((name) => `--${name}`).join(", ");
      warnings.push(`${names} ignored: the settings come from ${path}`);
    }
  } else {
    const around = parseEnvironment(environment, given.texts);
    warnings.push(...around.warnings);
    refuseShadowed(program, around.shadowed, warnings);
    texts = new Map([...around.texts, ...given.texts]);
  }
  const built = buildServerConfig(program, texts, { fromFile: path !== "" });
  return { config: built.config, warnings: [...warnings, ...built.warnings] };
}

/** etcd refuses a variable that a flag overrides; Portal lets the flag win and says so. */
function refuseShadowed(program: Program, shadowed: readonly FlagName[], warnings: string[]): void {
  const first = shadowed[0];
  if (first === undefined) return;
  const names = shadowed.map(environmentName);
  if (program === "etcd") {
    throw new ConfigError(
      `conflicting environment variable ${names[0]} is shadowed by corresponding command-line flag`,
      { hint: `Unset the variable or leave out --${first}.` },
    );
  }
  warnings.push(`${names.join(", ")} ignored: the command line says otherwise`);
}

/** Settings from the texts of the flags that are set. Throws ConfigError. */
export function buildServerConfig(
  program: Program,
  texts: FlagTexts,
  options: { readonly fromFile?: boolean } = {},
): ParsedConfig {
  const values = readValues(texts);
  const config = settingsFrom(program, values, texts, options.fromFile ?? false);
  const warnings = validate(config, values);
  const idle = [...texts.keys()].filter(
    (name) => !flags[name].hasEffect && texts.get(name) !== flags[name].defaultText,
  );
  if (idle.length > 0) {
    const names = idle.map((name) => `--${name}`).join(", ");
    warnings.push(`accepted, but without effect in this version: ${names}`);
  }
  return { config, warnings };
}

function readValues(texts: FlagTexts): FlagValues {
  const values = defaultFlagValues();
  const writable: Record<string, unknown> = values;
  for (const [name, text] of texts) writable[name] = flags[name].parse(text);
  return values;
}

function settingsFrom(
  program: Program,
  values: FlagValues,
  texts: FlagTexts,
  fromFile: boolean,
): ServerConfig {
  const name = values.name || "default";
  const advertisePeerUrls = values["initial-advertise-peer-urls"].map((one) => one.url);
  const logFlags: readonly FlagName[] = ["logger", "log-format", "log-level", "log-outputs"];
  const quota = values["quota-backend-bytes"];
  return {
    program,
    name,
    dataDir: values["data-dir"] || (program === "etcd" ? `${name}.etcd` : "./portal-data"),
    listenClientUrls: values["listen-client-urls"],
    listenClientHttpUrls: values["listen-client-http-urls"],
    listenMetricsUrls: values["listen-metrics-urls"],
    listenPeerUrls: values["listen-peer-urls"],
    listensForPeersOnPurpose: program === "etcd" || texts.has("listen-peer-urls"),
    advertiseClientUrls: advertisedClientUrls(program, values, texts, fromFile),
    advertisePeerUrls,
    initialCluster: texts.get("initial-cluster")
      ? parseInitialCluster(values["initial-cluster"])
      : [{ name, peerUrls: advertisePeerUrls }],
    initialClusterToken: values["initial-cluster-token"],
    initialClusterState: values["initial-cluster-state"],
    forceNewCluster: values["force-new-cluster"],
    strictReconfigCheck: values["strict-reconfig-check"],
    maxLearners: values["max-learners"],
    heartbeatIntervalMs: values["heartbeat-interval"],
    electionTimeoutMs: values["election-timeout"],
    preVote: values["pre-vote"],
    readMode: values["read-mode"],
    initialElectionTickAdvance: values["initial-election-tick-advance"],
    snapshotCount: values["snapshot-count"],
    maxWals: values["max-wals"],
    snapshotCatchupEntries: values["snapshot-catchup-entries"],
    quotaBackendBytes: quota < 0 ? Number.POSITIVE_INFINITY : quota || defaultQuotaBytes,
    backendBatchIntervalMs: values["backend-batch-interval"] || defaultBatchIntervalMs,
    backendBatchLimit: values["backend-batch-limit"] || defaultBatchLimit,
    unsafeNoFsync: values["unsafe-no-fsync"],
    maxTxnOps: values["max-txn-ops"],
    maxRequestBytes: values["max-request-bytes"],
    maxConcurrentStreams: values["max-concurrent-streams"],
    keepaliveMinTimeMs: values["grpc-keepalive-min-time"],
    keepaliveIntervalMs: values["grpc-keepalive-interval"],
    keepaliveTimeoutMs: values["grpc-keepalive-timeout"],
    watchProgressNotifyIntervalMs: Math.max(
      values["watch-progress-notify-interval"] || defaultProgressIntervalMs,
      leastProgressIntervalMs,
    ),
    corsOrigins: values.cors,
    hostWhitelist: values["host-whitelist"],
    extensiveMetrics: values.metrics === "extensive",
    tls: tlsFrom(values),
    peerTls: peerTlsFrom(values),
    log: {
      level: values["log-level"],
      format: values["log-format"],
      outputs: values["log-outputs"],
      isExplicit: program === "etcd" || logFlags.some((flag) => texts.has(flag)),
    },
    ioThreads: values["io-threads"],
  };
}

function tlsFrom(values: FlagValues): TlsSettings {
  return {
    certFile: values["cert-file"],
    keyFile: values["key-file"],
    trustedCaFile: values["trusted-ca-file"],
    crlFile: values["client-crl-file"],
    clientCertAuth: values["client-cert-auth"],
    allowedHostnames: values["client-cert-allowed-hostname"],
    autoTls: values["auto-tls"],
    selfSignedValidityYears: values["self-signed-cert-validity"],
    cipherSuites: values["cipher-suites"],
    minVersion: values["tls-min-version"],
    maxVersion: values["tls-max-version"],
  };
}

function peerTlsFrom(values: FlagValues): PeerTlsSettings {
  return {
    ...tlsFrom(values),
    certFile: values["peer-cert-file"],
    keyFile: values["peer-key-file"],
    trustedCaFile: values["peer-trusted-ca-file"],
    crlFile: values["peer-crl-file"],
    clientCertAuth: values["peer-client-cert-auth"],
    allowedHostnames: values["peer-cert-allowed-hostname"],
    autoTls: values["peer-auto-tls"],
    clientCertFile: values["peer-client-cert-file"],
    clientKeyFile: values["peer-client-key-file"],
    allowedCommonNames: values["peer-cert-allowed-cn"],
    skipAddressCheck: values["peer-skip-client-san-verification"],
  };
}

/**
 * Where clients are sent. When only the listening addresses are given, etcd wants the other flag
 * too; Portal takes the listening addresses where they mean one machine.
 */
function advertisedClientUrls(
  program: Program,
  values: FlagValues,
  texts: FlagTexts,
  fromFile: boolean,
): readonly string[] {
  const listenUrls = values["listen-client-urls"];
  const isImplied = texts.has("listen-client-urls") && !texts.has("advertise-client-urls");
  if (!isImplied || (program === "etcd" && fromFile)) {
    return values["advertise-client-urls"].map((one) => one.url);
  }
  if (program === "portal" && !listenUrls.some(isWildcard)) return listenUrls.map((one) => one.url);
  throw new ConfigError(
    "--advertise-client-urls is required when --listen-client-urls is set explicitly",
    { hint: "Add --advertise-client-urls with the address that clients can reach." },
  );
}
