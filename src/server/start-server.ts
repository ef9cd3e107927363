// Starts a member and everything that clients see of it: opens the data directory, registers the
// services, listens on every address, publishes the member. The one place where all parts meet.

import { join } from "node:path";
import type { Logger } from "../base/log.ts";
import { ConfigError } from "../config/config-error.ts";
import type { ListenUrl } from "../config/listen-url.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { ServerTls } from "../config/tls.ts";
import { systemClock } from "../io/clock.ts";
import { systemDisk } from "../io/disk.ts";
import { diskWithoutSync } from "../io/disk-without-sync.ts";
import { type MemberOptions, type OpenedMember, openMember } from "../node/open-member.ts";
import { ClientListeners } from "./client-listeners.ts";
import { memberServices } from "./member-services.ts";

export interface RunningServer {
  /** Where it listens for clients, with the real ports. */
  readonly clientUrls: readonly string[];
  /** Rejects when the member can not go on (its log failed); else pending for ever. */
  readonly failure: Promise<never>;
  /** Ends what is under way, flushes and closes. */
  close(): Promise<void>;
}

export interface StartOptions {
  /** Keeps everything in memory; the data directory is not touched. */
  readonly memory?: boolean;
}

const drainMs = 5000;
/** A flush is packed on the main thread: this many changes take it about 6 ms. */
const flushChangesMax = 4000;
const mebibyte = 1024 * 1024;

/** Resolves when the member serves; rejects, with everything closed again, when it can not. */
export async function startServer(
  config: ServerConfig,
  log: Logger,
  options: StartOptions = {},
): Promise<RunningServer> {
  const tls = await ServerTls.load(config);
  if (tls?.madeCertificate !== undefined) {
    log.named("api/server").warn("made a self-signed certificate", { file: tls.madeCertificate });
  }
  const memory = options.memory === true;
  if (!memory) await refuseToFoundInstead(config);
  const member = await openMember(memberOptions(config, memory), {
    clock: systemClock,
    disk: config.unsafeNoFsync ? diskWithoutSync(systemDisk) : systemDisk,
  });
  const failure = failureOf(member);
  let listeners: ClientListeners | undefined;
  try {
    const services = memberServices(member.replica, config, log);
    listeners = new ClientListeners(config, services, tls, log);
    const clientUrls = await listeners.open();
    const advertised = config.advertiseClientUrls.map((url) =>
      withRealPort(url, config, clientUrls),
    );
    await member.replica.publish({ name: config.name, clientUrls: advertised });
    return { clientUrls, failure, close: () => closeAll(listeners, member) };
  } catch (error) {
    await closeAll(listeners, member);
    throw error;
  }
}

/** Who wants to join a cluster must not end up as the founder of another. */
async function refuseToFoundInstead(config: ServerConfig): Promise<void> {
  if (config.initialClusterState !== "existing") return;
  if (await systemDisk.exists(join(config.dataDir, "member"))) return;
  throw new ConfigError(
    "--initial-cluster-state=existing without data: this version can not join a cluster",
    { hint: "Leave the flag out to found a new cluster of one member." },
  );
}

async function closeAll(
  listeners: ClientListeners | undefined,
  member: OpenedMember,
): Promise<void> {
  await listeners?.close(drainMs);
  await member.close();
}

function failureOf(member: OpenedMember): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    member.replica.onFatal = reject;
  });
  // Whoever started the server decides when to look at it.
  failure.catch(() => {});
  return failure;
}

function memberOptions(config: ServerConfig, memory: boolean): MemberOptions {
  return {
    dataDir: memory ? undefined : config.dataDir,
    name: config.name,
    peerUrls: config.advertisePeerUrls,
    clusterToken: config.initialClusterToken,
    electionTimeoutMs: config.electionTimeoutMs,
    leaseCheckpointIntervalMs: 5 * 60 * 1000,
    maxRequestBytes: config.maxRequestBytes,
    maxPendingProposals: 100_000,
    maxPendingBytes: 256 * mebibyte,
    requestTimeoutMs: 5000 + 2 * config.electionTimeoutMs,
    quotaBytes: config.quotaBackendBytes,
    flushIntervalMs: config.backendBatchIntervalMs,
    flushDelayMs: 10 * config.backendBatchIntervalMs,
    flushChanges: Math.min(config.backendBatchLimit, flushChangesMax),
    flushBytes: 16 * mebibyte,
    snapshotEntries: config.snapshotCount,
    compactionSleepMs: 10,
  };
}

/** A port 0 to listen on is advertised as the port that it became. */
function withRealPort(url: string, config: ServerConfig, clientUrls: readonly string[]): string {
  const at = config.listenClientUrls.findIndex((listen: ListenUrl) => listen.url === url);
  return at >= 0 && url.endsWith(":0") ? (clientUrls[at] ?? url) : url;
}
