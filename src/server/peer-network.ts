// The addresses of one member for other members: opened before the member is, so that others can ask who
// it is while it finds its place; the transport and the pages are put behind them as they come.

import { PeerPages, type PeerPagesSource } from "../api/peer-pages.ts";
import type { Logger } from "../base/log.ts";
import { Random } from "../base/random.ts";
import { serverVersion } from "../base/versions.ts";
import { bindHost, type ListenUrl } from "../config/listen-url.ts";
import { PeerTls } from "../config/peer-tls.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { systemClock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { systemHostNames } from "../io/host-names.ts";
import type { MemberDependencies, TransportFacts } from "../node/open-member.ts";
import {
  CertificateWatch,
  PeerDialer,
  PeerListener,
  type PeerListenTls,
  type PeerMetrics,
  type PeerPage,
  type PeerPageReply,
  PeerServer,
  PeerTransport,
} from "../peer/index.ts";
import { HttpPeerClient } from "../peer/peer-client.ts";
import { removeStaleSocket } from "./stale-socket.ts";

const notYet: PeerPageReply = {
  status: 503,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body: "the member is starting\n",
};

export class PeerNetwork {
  readonly #config: ServerConfig;
  readonly #disk: Disk;
  readonly #log: Logger;
  readonly #listeners: { readonly listener: PeerListener; readonly secure: boolean }[] = [];
  readonly #dialer: PeerDialer;
  readonly #client: HttpPeerClient;
  #tls: PeerTls;
  #transport: PeerTransport | undefined;
  #pages: PeerPages | undefined;
  #certificates: CertificateWatch<PeerTls> | undefined;

  private constructor(config: ServerConfig, tls: PeerTls, disk: Disk, log: Logger) {
    this.#config = config;
    this.#disk = disk;
    this.#log = log;
    this.#tls = tls;
    // A second for the other's queue, and an election: as long as etcd gives it.
    this.#dialer = new PeerDialer(systemClock, 1000 + config.electionTimeoutMs, tls.client);
    this.#client = new HttpPeerClient(this.#dialer);
  }

  /** Listens on every peer address. Rejects with the first failure, with everything closed again. */
  static async open(config: ServerConfig, disk: Disk, log: Logger): Promise<PeerNetwork> {
    const tls = await PeerTls.load(config);
    if (tls.madeCertificate !== undefined) {
      log.named("api/server").warn("made a self-signed certificate", { file: tls.madeCertificate });
    }
    const network = new PeerNetwork(config, tls, disk, log);
    try {
      for (const url of config.listenPeerUrls) await network.#listen(url);
      await network.#watchCertificates();
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  /** What a member needs of the network to begin. */
  get dependencies(): Pick<MemberDependencies, "createTransport" | "peerClient" | "lookUpHost"> {
    return {
      createTransport: (facts) => this.#createTransport(facts),
      peerClient: this.#client,
      lookUpHost: async (name) => (await systemHostNames.addressesOf(name))[0] as string,
    };
  }

  get metrics(): PeerMetrics | undefined {
    return this.#transport?.metrics;
  }

  /** Pages of the member, once it is there. */
  servePages(source: PeerPagesSource): void {
    this.#pages = new PeerPages(source);
  }

  /** The transport belongs to the member and is closed by it. */
  async close(): Promise<void> {
    this.#certificates?.close();
    await Promise.all(this.#listeners.map(({ listener }) => listener.close()));
    this.#dialer.close();
  }

  readonly #page: PeerPage = (request) => this.#pages?.answer(request) ?? notYet;

  async #listen(url: ListenUrl): Promise<void> {
    const { target, secure } = url;
    if (target.kind === "unix") await removeStaleSocket(target.path);
    const place =
      target.kind === "unix"
        ? { path: target.path }
        : { host: bindHost(target.host), port: target.port };
    const listener = await PeerListener.open({
      ...place,
      tls: secure ? this.#listenTls() : undefined,
      server: undefined,
      page: this.#page,
      log: this.#log,
    });
    this.#listeners.push({ listener, secure });
  }

  #listenTls(): PeerListenTls | undefined {
    const tls = this.#tls;
    if (tls.server === undefined) return undefined;
    const admits: PeerListenTls["admits"] = (certificate, address) =>
      tls.admits(certificate, address, systemHostNames);
    return { options: tls.server, admits };
  }

  #createTransport({ memberId, clusterId }: TransportFacts): PeerTransport {
    const { advertisePeerUrls: peerUrls } = this.#config;
    const identity = { memberId, clusterId, peerUrls, serverVersion };
    const transport = new PeerTransport(
      { identity, tls: this.#tls.client },
      {
        clock: systemClock,
        disk: this.#disk,
        random: new Random(memberId ^ BigInt(Date.now())),
        log: this.#log,
      },
    );
    this.#transport = transport;
    const server = new PeerServer(transport);
    for (const { listener } of this.#listeners) listener.server = server;
    return transport;
  }

  /** New connections get the new certificates; files that can not be used leave the old ones in place. */
  async #watchCertificates(): Promise<void> {
    if (this.#tls.files.length === 0) return;
    const { files } = this.#tls;
    this.#certificates = await CertificateWatch.start(
      {
        fingerprint: () => this.#tls.fingerprint(),
        load: () => PeerTls.load(this.#config),
      },
      (fresh) => this.#useCertificates(fresh),
      systemClock,
      this.#log.named("peer/certificates"),
    );
    this.#log.named("peer/certificates").debug("watching certificates", { files });
  }

  #useCertificates(fresh: PeerTls): void {
    this.#tls = fresh;
    this.#dialer.setTls(fresh.client);
    this.#transport?.setTls(fresh.client);
    const tls = this.#listenTls();
    for (const { listener, secure } of this.#listeners) {
      if (secure && tls) listener.setTls(tls);
    }
  }
}
