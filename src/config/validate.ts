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
  checkDiscovery(values);
  checkTls(config);
  checkPeerTls(config);
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

/** Who else is a member is told by --initial-cluster alone. */
function checkDiscovery(values: FlagValues): void {
  const named = [values["initial-cluster"], values["discovery-srv"], values.discovery];
  const endpoints = values["discovery-endpoints"];
  const isSet = [...named, endpoints.join(",")].filter((value) => value !== "");
  if (isSet.length > 1) {
    throw new ConfigError(
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"',
    );
  }
  if ((values["discovery-token"] !== "") !== endpoints.length > 0) {
    throw new ConfigError("both --discovery-token and --discovery-endpoints must be set");
  }
  if (isSet.length === 1 && values["initial-cluster"] === "") {
    throw new ConfigError("this version can not find the other members by a discovery service", {
      hint: "Name all members of a new cluster with --initial-cluster.",
    });
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

function checkPeerTls({ peerTls, listenPeerUrls }: ServerConfig): void {
  const pairs = [
    ["peer-cert-file", peerTls.certFile, "peer-key-file", peerTls.keyFile],
    [
      "peer-client-cert-file",
      peerTls.clientCertFile,
      "peer-client-key-file",
      peerTls.clientKeyFile,
    ],
  ] as const;
  for (const [certFlag, certFile, keyFlag, keyFile] of pairs) {
    if ((certFile === "") !== (keyFile === "")) {
      throw new ConfigError(`--${certFlag} and --${keyFlag} must be given together`);
    }
  }
  for (const { secure, url } of listenPeerUrls) {
    if (secure && peerTls.certFile === "" && !peerTls.autoTls) {
      throw new ConfigError(
        `TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url ${url} with HTTPS scheme`,
        { hint: "Give both files, or --peer-auto-tls for a self-made certificate." },
      );
    }
  }
  if (peerTls.clientCertAuth && peerTls.trustedCaFile === "") {
    throw new ConfigError("--peer-client-cert-auth needs --peer-trusted-ca-file", {
      hint: "Name the CA that signs the certificates of the members.",
    });
  }
  if (peerTls.allowedCommonNames.length > 0 && peerTls.allowedHostnames.length > 0) {
    throw new ConfigError(
      "AllowedCN and AllowedHostname are mutually exclusive: give one of --peer-cert-allowed-cn and --peer-cert-allowed-hostname",
    );
  }
}
