// Starts a member and everything that clients see of it: opens the data directory, registers the
// services, listens on every address, publishes the member. The one place where all parts meet.

import { registerNetworkMetrics } from "../api/network-metrics.ts";
import type { Logger } from "../base/log.ts";
import type { ListenUrl } from "../config/listen-url.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { ServerTls } from "../config/tls.ts";
import { systemClock } from "../io/clock.ts";
import { type Disk, systemDisk } from "../io/disk.ts";
import { diskWithoutSync } from "../io/disk-without-sync.ts";
import { type MemberOptions, type OpenedMember, openMember } from "../node/open-member.ts";
import { ClientListeners } from "./client-listeners.ts";
import { MemberRemovedError } from "./member-removed.ts";
import { memberServices } from "./member-services.ts";
import { PeerNetwork } from "./peer-network.ts";

export interface RunningServer {
  /** Where it listens for clients, with the real ports. */
  readonly clientUrls: readonly string[];
  /**
   * Rejects when the member can not go on: its log failed, or (MemberRemovedError) the cluster has removed it. Else
   * pending for ever.
   */
  readonly failure: Promise<never>;
  /** Ends what is under way, flushes and closes. */
  close(): Promise<void>;
}

export interface StartOptions {
  /** Keeps everything in memory; the data directory is not touched. */
  readonly memory?: boolean;
  /** Part of another program: addresses for other members are only opened when they were asked for. */
  readonly embedded?: boolean;
  /** Gives up: a member that finds no quorum would wait for ever. */
  readonly signal?: AbortSignal;
}

const drainMs = 5000;
/** A flush is packed on the main thread: this many changes take it about 6 ms. */
const flushChangesMax = 4000;
const mebibyte = 1024 * 1024;
/** What stays of the log in memory for members that lag behind, whatever the number of entries. */
const keptLogBytesMax = 64 * mebibyte;

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
  const disk = config.unsafeNoFsync ? diskWithoutSync(systemDisk) : systemDisk;
  const parts: Parts = { network: await openPeerNetwork(config, disk, log, options) };
  try {
    parts.member = await openMember(memberOptions(config, options.memory === true), {
      clock: systemClock,
      disk,
      trace: (line) => log.named("raft/raw-node").info(line),
      ...parts.network?.dependencies,
    });
    const { replica } = parts.member;
    const failure = failureOf(parts.member);
    const services = memberServices(replica, config, log);
    parts.network?.servePages({
      replica,
      versions: services.versions,
      isDowngrading: () => replica.downgrade.enabled,
    });
    const metrics = parts.network?.metrics;
    if (metrics !== undefined) {
      const { memberId } = replica;
      const peers = () => replica.peers();
      registerNetworkMetrics(services.registry, { memberId, metrics, peers });
    }
    parts.listeners = new ClientListeners(config, services, tls, log);
    const clientUrls = await parts.listeners.open();
    const advertised = config.advertiseClientUrls.map((url) =>
      withRealPort(url, config, clientUrls),
    );
    const publishing = replica.publish({ name: config.name, clientUrls: advertised });
    await Promise.race([publishing, failure, abortOf(options.signal)]);
    return { clientUrls, failure, close: () => closeAll(parts) };
  } catch (error) {
    await closeAll(parts);
    throw error;
  }
}

/** What is open, and is closed in this order. */
interface Parts {
  listeners?: ClientListeners;
  member?: OpenedMember;
  readonly network: PeerNetwork | undefined;
}

async function closeAll({ listeners, member, network }: Parts): Promise<void> {
  await listeners?.close(drainMs);
  try {
    await member?.close();
  } finally {
    await network?.close();
  }
}

/** Undefined for a member that is alone and that nobody will join. */
async function openPeerNetwork(
  config: ServerConfig,
  disk: Disk,
  log: Logger,
  { memory, embedded }: StartOptions,
): Promise<PeerNetwork | undefined> {
  const hasPurpose =
    config.listensForPeersOnPurpose ||
    config.initialCluster.length > 1 ||
    config.initialClusterState === "existing";
  if (!hasPurpose && (memory || embedded)) return undefined;
  try {
    return await PeerNetwork.open(config, disk, log);
  } catch (error) {
    if (hasPurpose || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    const urls = config.listenPeerUrls.map((one) => one.url).join(", ");
    log
      .named("api/server")
      .warn(`${urls} is in use: no other member can join this one; see --listen-peer-urls`);
    return undefined;
  }
}

function failureOf({ replica }: OpenedMember): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    replica.onFatal = reject;
    replica.onRemoved = () => reject(new MemberRemovedError());
  });
  // Whoever started the server decides when to look at it.
  failure.catch(() => {});
  return failure;
}

/** Rejects when it aborts. */
function abortOf(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

function memberOptions(config: ServerConfig, memory: boolean): MemberOptions {
  return {
    dataDir: memory ? undefined : config.dataDir,
    name: config.name,
    peerUrls: config.advertisePeerUrls,
    initialCluster: config.initialCluster,
    clusterState: config.initialClusterState,
    clusterToken: config.initialClusterToken,
    forceNewCluster: config.forceNewCluster,
    strictReconfig: config.strictReconfigCheck,
    maxLearners: config.maxLearners,
    heartbeatMs: config.heartbeatIntervalMs,
    electionTimeoutMs: config.electionTimeoutMs,
    preVote: config.preVote,
    readsByLease: config.readMode === "lease",
    hastensFirstElection: config.initialElectionTickAdvance,
    keptEntries: config.snapshotCatchupEntries,
    keptBytes: keptLogBytesMax,
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
    walKeptSegments: config.maxWals,
    compactionSleepMs: 10,
  };
}

/** A port 0 to listen on is advertised as the port that it became. */
function withRealPort(url: string, config: ServerConfig, clientUrls: readonly string[]): string {
  const at = config.listenClientUrls.findIndex((listen: ListenUrl) => listen.url === url);
  return at >= 0 && url.endsWith(":0") ? (clientUrls[at] ?? url) : url;
}
