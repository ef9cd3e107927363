// The rules that settings must keep among each other, with etcd's words for breaking them.

import { ConfigError } from "./config-error.ts";
import type { FlagValues } from "./flag-table.ts";
import { isIpAddress, type ListenUrl } from "./listen-url.ts";
import type { ServerConfig } from "./server-config.ts";

const maxElectionTimeoutMs = 50_000;

/** Throws ConfigError at the first broken rule; returns what is only worth a warning. */
export function validate(config: ServerConfig, values: FlagValues): string[] {
  checkListenUrls(config);
  checkAdvertisedUrls(values);
  checkTiming(config);
  checkCluster(config);
  checkTls(config);
  if (config.ioThreads !== 0) {
    throw new ConfigError("--io-threads must be 0 in this version", {
      hint: "Leave the flag out: connections are served on the main thread.",
    });
  }
  const warnings = plainUrlWarnings(config);
  if (config.unsafeNoFsync) {
    warnings.push("--unsafe-no-fsync: writes are acknowledged before they are on disk");
  }
  if (config.program === "etcd" && config.name === "default") {
    warnings.push(
      "it isn't recommended to use default name, please set a value for --name. Members of one cluster need different names",
    );
  }
  return warnings;
}

function plainUrlWarnings({ tls, ...config }: ServerConfig): string[] {
  const plain = [...config.listenClientUrls, ...config.listenClientHttpUrls]
    .filter((one) => !one.secure)
    .map((one) => one.url)
    .join(", ");
  if (plain === "" || !(tls.certFile !== "" || tls.autoTls || tls.clientCertAuth)) return [];
  return [`${plain}: served without TLS, although TLS is set up; use https:// to have it used`];
}

function checkListenUrls(config: ServerConfig): void {
  const all = [
    ...config.listenPeerUrls,
    ...config.listenClientUrls,
    ...config.listenClientHttpUrls,
    ...config.listenMetricsUrls,
  ];
  for (const { url, target } of all) {
    if (target.kind === "unix" || target.host === "localhost") continue;
    if (isIpAddress(target.host)) continue;
    throw new ConfigError(`expected IP in URL for binding (${url})`, {
      hint: "Listen on an address of this machine, localhost, or 0.0.0.0 for all; names belong into the advertised URLs.",
    });
  }
  if (config.listenClientUrls.length === 0) {
    throw new ConfigError("--listen-client-urls must name an address");
  }
}

function checkAdvertisedUrls(values: FlagValues): void {
  const check = (flag: string, urls: readonly ListenUrl[]) => {
    for (const { url, target } of urls) {
      if (target.kind === "tcp" && target.host === "") {
        throw new ConfigError(`--${flag} must be "host:port" (unexpected empty host (${url}))`);
      }
    }
  };
  check("initial-advertise-peer-urls", values["initial-advertise-peer-urls"]);
  check("advertise-client-urls", values["advertise-client-urls"]);
}

function checkTiming({ heartbeatIntervalMs, electionTimeoutMs }: ServerConfig): void {
  if (heartbeatIntervalMs === 0) {
    throw new ConfigError("--heartbeat-interval must be >0 (set to 0ms)");
  }
  if (electionTimeoutMs === 0) throw new ConfigError("--election-timeout must be >0 (set to 0ms)");
  if (5 * heartbeatIntervalMs > electionTimeoutMs) {
    throw new ConfigError(
      `--election-timeout[${electionTimeoutMs}ms] should be at least as 5 times as --heartbeat-interval[${heartbeatIntervalMs}ms]`,
    );
  }
  if (electionTimeoutMs > maxElectionTimeoutMs) {
    throw new ConfigError(
      `--election-timeout[${electionTimeoutMs}ms] is too long, and should be set less than ${maxElectionTimeoutMs}ms`,
    );
  }
}

function checkCluster(config: ServerConfig): void {
  const own = config.initialCluster.find((member) => member.name === config.name);
  if (own === undefined) {
    throw new ConfigError(
      `couldn't find local name "${config.name}" in the initial cluster configuration`,
      { hint: "Give the member one of the names in --initial-cluster with --name." },
    );
  }
  if (config.initialCluster.length > 1) {
    throw new ConfigError("--initial-cluster names several members; this version runs one", {
      hint: "Leave out --initial-cluster to run a single member.",
    });
  }
  const advertised = [...config.advertisePeerUrls].sort().join(",");
  if (own.peerUrls.join(",") !== advertised) {
    throw new ConfigError(
      `--initial-cluster has ${config.name}=${own.peerUrls.join(",")} but --initial-advertise-peer-urls is ${advertised}`,
      { hint: "Make the two the same." },
    );
  }
}

function checkTls(config: ServerConfig): void {
  const { tls } = config;
  if ((tls.certFile === "") !== (tls.keyFile === "")) {
    throw new ConfigError("--cert-file and --key-file must be given together");
  }
  const hasTls = tls.certFile !== "" || tls.autoTls;
  const clientUrls = [...config.listenClientUrls, ...config.listenClientHttpUrls];
  for (const { secure, url } of [...clientUrls, ...config.listenMetricsUrls]) {
    if (secure && !hasTls) {
      throw new ConfigError(
        `TLS key/cert (--cert-file, --key-file) must be provided for client url ${url} with HTTPS scheme`,
        { hint: "Give both files, or --auto-tls for a self-made certificate." },
      );
    }
  }
  if (tls.clientCertAuth && tls.trustedCaFile === "") {
    throw new ConfigError("--client-cert-auth needs --trusted-ca-file", {
      hint: "Name the CA that signs the certificates of your clients.",
    });
  }
  if (tls.allowedHostnames.length > 0 && !tls.clientCertAuth) {
    throw new ConfigError("--client-cert-allowed-hostname needs --client-cert-auth");
  }
  if (tls.maxVersion === "TLS1.2" && tls.minVersion === "TLS1.3") {
    throw new ConfigError("min version (TLS1.3) is greater than max version (TLS1.2)");
  }
  if (tls.minVersion === "TLS1.3" && tls.cipherSuites.length > 0) {
    throw new ConfigError("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
}
