import { silentLogger } from "../../base/log.ts";
import { Random } from "../../base/random.ts";
import { systemClock } from "../../io/clock.ts";
import { type Disk, systemDisk } from "../../io/disk.ts";
import type { Message } from "../../raft/message.ts";
import {
  PeerListener,
  type PeerListenOptions,
  PeerServer,
  PeerTransport,
  type PeerTransportOptions,
} from "../index.ts";
import type { TransportHandler } from "../types.ts";

/** Remembers what it is told. */
export class RecordingHandler implements TransportHandler {
  readonly messages: Message[] = [];
  readonly batches: number[] = [];
  readonly unreachable: bigint[] = [];
  readonly snapshotsSent: [bigint, boolean][] = [];
  readonly snapshots: { message: Message; path: string; sizeBytes: number }[] = [];
  readonly removed = new Set<bigint>();
  removedNotices = 0;
  snapshotFolder: string | undefined = undefined;
  readonly gone: bigint[] = [];
  onBatch: ((messages: readonly Message[]) => void) | undefined = undefined;
  onSnapshotHook: (() => Promise<void>) | undefined = undefined;

  onMessages(messages: readonly Message[]): void {
    this.batches.push(messages.length);
    if (this.onBatch !== undefined) this.onBatch(messages);
    else this.messages.push(...messages);
  }
  onUnreachable(id: bigint): void {
    this.unreachable.push(id);
  }
  onSnapshotSent(id: bigint, ok: boolean): void {
    this.snapshotsSent.push([id, ok]);
  }
  isRemoved(id: bigint): boolean {
    return this.removed.has(id);
  }
  onGone(id: bigint): void {
    this.gone.push(id);
  }
  onRemovedFromCluster(): void {
    this.removedNotices++;
  }
  snapshotPath(index: number): string | undefined {
    return this.snapshotFolder && `${this.snapshotFolder}/${index}.snap.db`;
  }
  async onSnapshot(message: Message, path: string, sizeBytes: number): Promise<void> {
    await this.onSnapshotHook?.();
    this.snapshots.push({ message, path, sizeBytes });
  }
}

export interface TestMember {
  readonly id: bigint;
  readonly url: string;
  readonly handler: RecordingHandler;
  readonly transport: PeerTransport;
  readonly server: PeerServer;
  readonly listener: PeerListener;
  close(): Promise<void>;
}

export const testClusterId = 0xc1n;

/** A member on the loopback that knows nobody yet. */
export async function startMember(
  id: bigint,
  options: Partial<PeerTransportOptions> &
    Partial<Pick<PeerListenOptions, "page" | "port">> & {
      listenTls?: PeerListenOptions["tls"];
      clusterId?: bigint;
      disk?: Disk;
      serverVersion?: string;
    } = {},
): Promise<TestMember> {
  const scheme = options.listenTls === undefined ? "http" : "https";
  const log = silentLogger;
  const listener = await PeerListener.open({
    host: "127.0.0.1",
    port: options.port ?? 0,
    tls: options.listenTls,
    server: undefined,
    log,
    ...(options.page === undefined ? {} : { page: options.page }),
  });
  const url = `${scheme}://127.0.0.1:${listener.port}`;
  const transport = new PeerTransport(
    {
      identity: {
        memberId: id,
        clusterId: options.clusterId ?? testClusterId,
        peerUrls: [url],
        serverVersion: options.serverVersion ?? "3.7.3",
      },
      tls: options.tls,
      limits: options.limits ?? {},
    },
    { clock: systemClock, disk: options.disk ?? systemDisk, random: new Random(id), log },
  );
  const server = new PeerServer(transport);
  const handler = new RecordingHandler();
  transport.start(handler);
  listener.server = server;
  const close = async (): Promise<void> => {
    await transport.close();
    await listener.close();
  };
  return { id, url, handler, transport, server, listener, close };
}

export async function startMembers(
  count: number,
  options: Parameters<typeof startMember>[1] = {},
): Promise<TestMember[]> {
  const members = await Promise.all(
    Array.from({ length: count }, (_, i) => startMember(BigInt(i + 1), options)),
  );
  introduce(members);
  await until(() => members.every(isConnected));
  return members;
}

export function introduce(members: readonly TestMember[]): void {
  for (const one of members) {
    for (const other of members) one.transport.addPeer(other.id, [other.url]);
  }
}

/** All streams of all peers are up, in both directions. */
export function isConnected(member: TestMember): boolean {
  return member.transport.health().every(({ id }) => member.transport.streamsWith(id) === 4);
}

/** Resolves when the condition holds; rejects after a while. */
export async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never happened: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
