// Turns a failed call into a message that says what to do next. A failure to reach anyone is looked
// into: is nobody there, does nobody answer, or do both sides disagree about TLS?

import { connect, type Socket } from "node:net";
import { Status } from "../base/status.ts";
import { type Endpoint, formatEndpoint, parseEndpoint } from "../client/endpoint.ts";
import { PortalError } from "../client/errors.ts";
import { CommandError, ExitCode } from "./exit-code.ts";
import type { GlobalOptions } from "./global-options.ts";

type Finding = "refused" | "silent" | "unknown-host" | "speaks-tls" | "reachable";

const PROBE_MS = 500;

/** The error to show; what is not a failure of a call comes back as it is. */
export async function explainFailure(
  error: unknown,
  globals: GlobalOptions,
  endpoints: readonly string[],
): Promise<unknown> {
  if (!(error instanceof PortalError)) return error;
  const isConnection =
    (error.code === Status.UNAVAILABLE && error.reason === "unavailable") ||
    (error.code === Status.DEADLINE_EXCEEDED && !error.message.startsWith("etcdserver:"));
  if (!isConnection) return new CommandError(ExitCode.error, error.message, hintFor(error));
  const plain = !globals.caFile && !globals.certFile && !globals.insecureSkipTlsVerify;
  for (const text of endpoints) {
    const endpoint = parseEndpoint(text);
    const finding = await probe(endpoint, plain && !endpoint.secure);
    const found = describe(finding, formatEndpoint(endpoint), error);
    if (found) return found;
  }
  return new CommandError(ExitCode.error, error.message, hintFor(error));
}

function describe(finding: Finding, where: string, error: PortalError): CommandError | undefined {
  switch (finding) {
    case "refused":
      return new CommandError(
        ExitCode.error,
        `nothing listens on ${where}`,
        "start one with `portal server`, or say where it is with --endpoints",
      );
    case "silent":
      return new CommandError(
        ExitCode.error,
        `no answer from ${where}`,
        "check the address, and whether a firewall is in between",
      );
    case "unknown-host":
      return new CommandError(
        ExitCode.error,
        `no such host: ${where}`,
        "check the spelling of --endpoints",
      );
    case "speaks-tls":
      return new CommandError(
        ExitCode.error,
        `${where} expects TLS`,
        `use --endpoints=https://${where} --cacert=<file>`,
      );
    case "reachable":
      return isTlsTrouble(error)
        ? new CommandError(
            ExitCode.error,
            `TLS with ${where} failed: ${error.message}`,
            tlsHint(error),
          )
        : undefined;
  }
}

function hintFor(error: PortalError): string | undefined {
  switch (error.reason) {
    case "compacted":
      return "history before the compaction is gone: use a newer --rev, or none";
    case "futureRevision":
      return "the store has not come that far: `portal endpoint status -w fields` shows its revision";
    case "leaseNotFound":
      return "it expired or was revoked: `portal lease list` shows those that are alive";
    case "noSpace":
      return "compact and defragment the store, or raise --quota-backend-bytes of the server";
    case "memberNotFound":
      return "`portal member list` shows the members and their ids";
    case "notEnoughStartedMembers":
      return "start the members that were added first, or remove them: `portal member list`";
    case "unhealthy":
      return "members must have been connected for 5 seconds: see `portal endpoint health --cluster`";
    case "learnerNotReady":
      return "wait until it has caught up: `portal endpoint status --cluster` shows how far it is";
    case "tooManyLearners":
      return "promote or remove a learner first, or raise --max-learners of the servers";
    case "permissionDenied":
    case "userEmpty":
      return "say who you are with --user name:password";
    case "unimplemented":
      return "the server does not offer this call";
    case "deadlineExceeded":
      return "the server is there, but slow or without a quorum: see `portal cluster health`";
    case "timeout":
    case "timeoutDueToLeaderFail":
    case "timeoutDueToConnectionLost":
    case "noLeader":
      return "too few members may be reachable: see `portal cluster health`";
    case "notSupportedForLearner":
      return "ask another member; a learner serves `portal get --consistency=s` alone";
    default:
      return undefined;
  }
}

function isTlsTrouble(error: PortalError): boolean {
  return /certificate|self.signed|tls|ssl|altname|handshake|wrong version|packet length/i.test(
    error.message,
  );
}

function tlsHint(error: PortalError): string {
  if (/wrong version number|packet length|before secure TLS/i.test(error.message)) {
    return "the server seems to speak cleartext: use http:// or no scheme in --endpoints";
  }
  if (/self.signed|issuer|unable to verify/i.test(error.message)) {
    return "give the CA that signed the server's certificate with --cacert";
  }
  return "check --cacert, --cert and --key; https:// in --endpoints asks for TLS";
}

/** Knocks at `endpoint`; one that hears no cleartext (`mayBeTls`) is tried with TLS. */
async function probe(endpoint: Endpoint, mayBeTls: boolean): Promise<Finding> {
  const target = endpoint.kind === "unix" ? { path: endpoint.path } : hostAndPort(endpoint);
  const found = await knock(connect(target), "connect");
  if (found !== "reachable" || !mayBeTls) return found;
  const { connect: connectTls } = await import("node:tls");
  const secure = connectTls({ ...target, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  return (await knock(secure, "secureConnect")) === "reachable" ? "speaks-tls" : "reachable";
}

function knock(socket: Socket, opened: "connect" | "secureConnect"): Promise<Finding> {
  return new Promise((resolve) => {
    const finish = (finding: Finding) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(finding);
    };
    const timer = setTimeout(() => finish("silent"), PROBE_MS);
    socket.on(opened, () => finish("reachable"));
    socket.on("close", () => finish("silent"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") finish("refused");
      else if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN") finish("unknown-host");
      else finish("silent");
    });
  });
}

function hostAndPort({ host, port }: Extract<Endpoint, { kind: "tcp" }>) {
  return { host, port };
}
