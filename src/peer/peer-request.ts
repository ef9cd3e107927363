// One HTTP/1.1 request to another member: to its peer URL (http, https, unix, unixs), with a bounded
// reply and a deadline. Connections are kept for the next request.

import http from "node:http";
import https from "node:https";
import type { ConnectionOptions } from "node:tls";

export interface PeerReply {
  readonly status: number;
  readonly headers: Readonly<http.IncomingHttpHeaders>;
  readonly body: Buffer;
}

export interface PeerRequest {
  readonly method: "GET" | "POST";
  /** "/members". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
  /** A longer reply is refused. */
  readonly replyBytesMax?: number;
}

/** Where a peer URL leads to, as `http.request` wants it. A unix URL's path may be relative: unix://localhost:2380. */
export function peerTarget(url: string): {
  readonly secure: boolean;
  readonly options: {
    readonly host?: string;
    readonly port?: number;
    readonly socketPath?: string;
  };
} {
  const unix = /^(unixs?):(?:\/\/)?(.+)$/.exec(url);
  if (unix) return { secure: unix[1] === "unixs", options: { socketPath: unix[2] as string } };
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === "https:";
  const host = hostname.replace(/^\[|\]$/g, "");
  // "localhost" is where etcd listens for it, whatever the resolver prefers.
  return {
    secure,
    options: {
      host: host === "localhost" ? "127.0.0.1" : host,
      port: port === "" ? (secure ? 443 : 80) : Number(port),
    },
  };
}

export class PeerRequests {
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 32, maxFreeSockets: 4 });
  readonly #secureAgent = new https.Agent({ keepAlive: true, maxSockets: 32, maxFreeSockets: 4 });
  readonly #tls: () => ConnectionOptions;

  /** `tls` is asked for each request, so that new certificates are used from then on. */
  constructor(tls: () => ConnectionOptions = () => ({})) {
    this.#tls = tls;
  }

  /** Rejects when there is no whole reply in time; any status resolves. */
  send(url: string, request: PeerRequest): Promise<PeerReply> {
    const { secure, options } = peerTarget(url);
    const { method, path, timeoutMs, body } = request;
    const headers: Record<string, string> = { ...request.headers };
    headers.host = new URL(url).host || "localhost";
    if (body) headers["content-length"] = String(body.length);
    const common = { ...options, method, path, headers, signal: AbortSignal.timeout(timeoutMs) };
    return new Promise((resolve, reject) => {
      const sent = secure
        ? https.request({ ...common, ...this.#tlsFor(url), agent: this.#secureAgent })
        : http.request({ ...common, agent: this.#agent });
      sent.on("error", reject);
      sent.on("response", (response) => {
        collect(response, request.replyBytesMax ?? 16 * 1024 * 1024).then(
          (whole) =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole }),
          reject,
        );
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
    this.#secureAgent.destroy();
  }

  /** The certificate must carry the name in the URL, whatever it was resolved to. */
  #tlsFor(url: string): ConnectionOptions {
    return { servername: serverNameOf(url), ...this.#tls() };
  }
}

/** An address is no server name: it is checked against the certificate all the same. */
function serverNameOf(url: string): string {
  const hostname = new URL(url).host.replace(/:\d+$/, "") || "localhost";
  return /^[\d.]+$|^\[/.test(hostname) ? "" : hostname;
}

async function collect(response: http.IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      response.destroy();
      throw new Error(`the reply has more than ${bytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
