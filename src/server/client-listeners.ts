// The addresses of one member: gRPC and pages for clients, pages alone on the HTTP and metrics
// addresses, TLS where the address says so, certificates loaded anew when their files change.

import type { Page, PageReply } from "../api/http-page.ts";
import type { Logger } from "../base/log.ts";
import { bindHost, type ListenUrl } from "../config/listen-url.ts";
import type { ServerConfig } from "../config/server-config.ts";
import { ServerTls } from "../config/tls.ts";
import { systemClock, type Timer } from "../io/clock.ts";
import { Keepalive, PingEnforcement } from "../rpc/grpc/keepalive.ts";
import type { HttpHandler } from "../rpc/http2/http-handler.ts";
import { type Listener, type ListenOptions, listen } from "../rpc/http2/listener.ts";
import type { Http2Session } from "../rpc/http2/types.ts";
import type { MemberServices } from "./member-services.ts";
import { removeStaleSocket } from "./stale-socket.ts";

/** What we advertise where the flag leaves it open: etcd's default is no limit at all. */
const concurrentStreamsMax = 100_000;
const certificateCheckMs = 5000;

export class ClientListeners {
  readonly #config: ServerConfig;
  readonly #services: MemberServices;
  readonly #tls: ServerTls | undefined;
  readonly #log: Logger;
  readonly #listeners: { readonly listener: Listener; readonly secure: boolean }[] = [];
  #fingerprint = "";
  #certificateTimer: Timer | undefined;

  constructor(
    config: ServerConfig,
    services: MemberServices,
    tls: ServerTls | undefined,
    log: Logger,
  ) {
    this.#config = config;
    this.#services = services;
    this.#tls = tls;
    this.#log = log.named("api/client-listeners");
  }

  /** Listens on every address; resolves to the client URLs with their real ports. Rejects with the first failure. */
  async open(): Promise<readonly string[]> {
    const { listenClientUrls, listenClientHttpUrls, listenMetricsUrls } = this.#config;
    const { grpc, pages } = this.#services;
    const servesPages = listenClientHttpUrls.length === 0;
    const clientUrls: string[] = [];
    for (const url of listenClientUrls) {
      const listener = await this.#listen(url, {
        onGrpcStream: grpc.onStream,
        httpHandler: servesPages ? this.#handlerOf(pages.client) : undefined,
      });
      clientUrls.push(realUrl(url, listener));
    }
    for (const url of listenClientHttpUrls) {
      await this.#listen(url, { httpHandler: this.#handlerOf(pages.client) });
    }
    for (const url of listenMetricsUrls) {
      await this.#listen(url, { httpHandler: this.#handlerOf(pages.metrics) });
    }
    await this.#watchCertificates();
    return clientUrls;
  }

  /** Accepts no more and lets what is under way finish; streams without an end are ended. */
  async close(graceMs: number): Promise<void> {
    this.#certificateTimer?.cancel();
    this.#services.endStreams();
    await Promise.all(this.#listeners.map(({ listener }) => listener.close(graceMs)));
  }

  async #listen(
    url: ListenUrl,
    handlers: Pick<ListenOptions, "onGrpcStream" | "httpHandler">,
  ): Promise<Listener> {
    const address =
      url.target.kind === "unix"
        ? { path: url.target.path }
        : { host: bindHost(url.target.host), port: url.target.port };
    if (url.target.kind === "unix") await removeStaleSocket(url.target.path);
    const { maxConcurrentStreams } = this.#config;
    const listener = await listen({
      ...address,
      ...handlers,
      tls: url.secure ? this.#tls?.options : undefined,
      http2Options: {
        maxConcurrentStreams: Math.min(maxConcurrentStreams, concurrentStreamsMax),
      },
      onSession: (session) => this.#admit(session),
      sessionEvents: { onPing: (session) => this.#onPing(session) },
    });
    this.#listeners.push({ listener, secure: url.secure });
    return listener;
  }

  #admit(session: Http2Session): boolean {
    if (session.secure && this.#tls && !this.#tls.admits(session.peerCertificate())) {
      this.#log.warn("rejected a client certificate", { remote: session.remoteAddress });
      return false;
    }
    const { keepaliveMinTimeMs, keepaliveIntervalMs, keepaliveTimeoutMs } = this.#config;
    session.context = new PingEnforcement({
      minTimeMs: keepaliveMinTimeMs,
      permitWithoutStream: false,
    });
    if (keepaliveIntervalMs > 0) {
      new Keepalive(
        session,
        { timeMs: keepaliveIntervalMs, timeoutMs: keepaliveTimeoutMs, permitWithoutStream: true },
        systemClock,
      );
    }
    return true;
  }

  #handlerOf(page: Page): HttpHandler {
    return async (request, reply) => {
      // HTTP/1.1 has no session that could have been refused: the certificate is looked at here.
      if (request.secure && this.#tls && !this.#tls.admits(request.peerCertificate())) {
        return reply.send(403, { "content-type": "text/plain; charset=utf-8" }, "Forbidden\n");
      }
      const question = request.path.indexOf("?");
      const path = question < 0 ? request.path : request.path.slice(0, question);
      const query = new URLSearchParams(question < 0 ? "" : request.path.slice(question + 1));
      const { method, headers, secure } = request;
      const answer: PageReply = await page({ method, path, query, headers, secure });
      reply.send(answer.status, answer.headers, answer.body);
    };
  }

  #onPing(session: Http2Session): void {
    (session.context as PingEnforcement).onPing(session, systemClock.now());
  }

  async #watchCertificates(): Promise<void> {
    if (!this.#tls || this.#tls.files.length === 0) return;
    this.#fingerprint = await this.#tls.fingerprint();
    this.#scheduleCertificateCheck();
  }

  #scheduleCertificateCheck(): void {
    this.#certificateTimer = systemClock.setTimer(
      certificateCheckMs,
      () => {
        void this.#reloadCertificates().finally(() => this.#scheduleCertificateCheck());
      },
      { unref: true },
    );
  }

  /** New connections get the new certificates; a file that can not be used leaves the old ones in place. */
  async #reloadCertificates(): Promise<void> {
    const fingerprint = (await this.#tls?.fingerprint()) ?? "";
    if (fingerprint === this.#fingerprint) return;
    this.#fingerprint = fingerprint;
    try {
      const fresh = await ServerTls.load(this.#config);
      for (const { listener, secure } of this.#listeners) {
        if (secure && fresh) listener.setSecureContext(fresh.options);
      }
      this.#log.info("loaded the changed certificates");
    } catch (error) {
      this.#log.warn("kept the old certificates: the changed files can not be used", { error });
    }
  }
}

function realUrl(url: ListenUrl, listener: Listener): string {
  if (url.target.kind === "unix" || url.target.port !== 0) return url.url;
  return url.url.replace(/:0$/, `:${listener.port}`);
}
