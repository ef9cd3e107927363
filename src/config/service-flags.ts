// The flags about security, authentication, observation and tuning, under etcd's names and with
// etcd's defaults, and the few that are Portal's own.

import {
  boolean,
  choice,
  duration,
  type Flag,
  FlagValueError,
  inert,
  list,
  number,
  text,
  urls,
} from "./flag.ts";

export const securityFlags = {
  "cert-file": text("", "Certificate of this server, PEM."),
  "key-file": text("", "Key of the certificate, PEM."),
  "client-cert-auth": boolean(
    false,
    "Let in only clients with a certificate of --trusted-ca-file.",
  ),
  "client-cert-file": inert(text("", "Certificate for the member's own client connections.")),
  "client-key-file": inert(text("", "Key of --client-cert-file.")),
  "client-crl-file": text("", "Client certificates that are revoked."),
  "client-cert-allowed-hostname": list("", "Names of which a client's certificate must carry one."),
  "trusted-ca-file": text("", "CA that signs the certificates of clients, PEM."),
  "auto-tls": boolean(false, "Serve clients over TLS with a self-made certificate."),
  "peer-cert-file": text("", "Certificate for the traffic between members."),
  "peer-key-file": text("", "Key of --peer-cert-file."),
  "peer-client-cert-auth": boolean(false, "Let in only members with a certificate."),
  "peer-client-cert-file": text("", "Certificate shown to other members."),
  "peer-client-key-file": text("", "Key of --peer-client-cert-file."),
  "peer-trusted-ca-file": text("", "CA that signs the certificates of members."),
  "peer-cert-allowed-cn": list("", "Common names that members may have."),
  "peer-cert-allowed-hostname": list("", "Host names that members may have."),
  "peer-auto-tls": boolean(false, "TLS between members with self-made certificates."),
  "self-signed-cert-validity": number(1, "Years for which self-made certificates are valid.", 1),
  "peer-crl-file": text("", "Member certificates that are revoked."),
  "peer-skip-client-san-verification": boolean(
    false,
    "Do not compare a member's address with its certificate.",
  ),
  "cipher-suites": list(
    "",
    "TLS 1.2 cipher suites to allow, by their IANA names; empty for a safe choice.",
  ),
  "tls-min-version": choice(["TLS1.2", "TLS1.3"], "Lowest version of TLS."),
  "tls-max-version": choice(["", "TLS1.2", "TLS1.3"], "Highest version of TLS."),
  cors: list("*", "Origins that browsers may send requests from; * for all."),
  "host-whitelist": list("*", "Host names that HTTP requests without TLS may use; * for all."),
} as const;

export const authFlags = {
  "auth-token": inert(text("simple", "Kind of authentication token and its options.")),
  "bcrypt-cost": inert(number(10, "Cost of hashing passwords, 4 to 31.", 4)),
  "auth-token-ttl": inert(number(300, "Seconds for which a token is valid.")),
} as const;

export const observationFlags = {
  "enable-pprof": inert(boolean(false, "Serve profiles under /debug/pprof.")),
  metrics: inert(choice(["basic", "extensive"], "Detail of the metrics.")),
  "listen-metrics-urls": urls("", "Further addresses for /metrics and the health pages."),
  logger: choice(["zap"], "Kind of log; zap is the one."),
  "log-outputs": list("default", "default, stderr, stdout, or files to append to."),
  "log-level": choice(
    ["info", "debug", "warn", "error", "dpanic", "panic", "fatal"],
    "Least severe lines to log.",
  ),
  "log-format": choice(["json", "console"], "Form of the log lines."),
  "enable-log-rotation": inert(boolean(false, "Rotate the log file.")),
  "log-rotation-config-json": inert(
    text(
      '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
      "How the log file is rotated.",
    ),
  ),
  "warning-unary-request-duration": inert(
    duration(300, "Log a warning for calls that take longer."),
  ),
  "warning-apply-duration": inert(duration(100, "Log a warning when applying takes longer.")),
  "enable-distributed-tracing": inert(boolean(false, "Send traces.")),
  "distributed-tracing-address": inert(text("localhost:4317", "Collector of traces.")),
  "distributed-tracing-service-name": inert(text("etcd", "Service name in traces.")),
  "distributed-tracing-instance-id": inert(text("", "Instance id in traces.")),
  "distributed-tracing-sampling-rate": inert(number(0, "Traced calls per million.")),
} as const;

export const tuningFlags = {
  "feature-gates": inert(featureGates("Experimental features: Name=true|false,...")),
  "corrupt-check-time": inert(duration(0, "Time between checks for corruption; 0s never.")),
  "compact-hash-check-time": inert(duration(60_000, "Time between comparisons of hashes.")),
  "compaction-batch-limit": inert(number(0, "Revisions that one step of compaction removes.")),
  "compaction-sleep-interval": inert(duration(0, "Pause between steps of compaction.")),
  "watch-progress-notify-interval": duration(
    0,
    "Time between progress messages to idle watchers; 0s is 10m, at least 100ms.",
  ),
  "bootstrap-defrag-threshold-megabytes": inert(number(0, "Defragment at start above this gain.")),
  "max-learners": number(1, "Learners that a cluster may have."),
  "downgrade-check-time": inert(duration(5_000, "Time between checks of a downgrade.")),
  "force-new-cluster": boolean(false, "Start over as the only member; unsafe."),
  "unsafe-no-fsync": boolean(false, "Do not wait for the disk; a crash loses writes. Unsafe."),
} as const;

/** What etcd does not have. */
export const ownFlags = {
  "io-threads": number(0, "Threads for connections; 0 serves them on the main thread."),
} as const;

const gateNames: readonly string[] = [
  "AllAlpha",
  "AllBeta",
  "CompactHashCheck",
  "FastLeaseKeepAlive",
  "InitialCorruptCheck",
  "LeaseCheckpoint",
  "LeaseCheckpointPersist",
  "PriorityRequest",
  "SetMemberLocalAddr",
  "StopGRPCServiceOnDefrag",
  "TxnModeWriteWithSharedBuffer",
];

function featureGates(help: string): Flag<readonly string[]> {
  const flag = list("", help);
  const parse = (value: string) => {
    const gates = flag.parse(value);
    for (const gate of gates) {
      const [name = "", state = ""] = gate.split("=").map((part) => part.trim());
      if (!gateNames.includes(name)) throw new FlagValueError(`unrecognized feature gate: ${name}`);
      if (!/^(true|false)$/i.test(state)) {
        throw new FlagValueError(`${name} must be set to true or false`);
      }
    }
    return gates;
  };
  return { ...flag, parse };
}
