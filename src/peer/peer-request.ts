// One request to another member and its whole reply, with a bound on size and time.

import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { PeerDialer } from "./peer-dialer.ts";
import { parsePeerUrl } from "./peer-url.ts";

export interface PeerReply {
  readonly status: number;
  readonly headers: Readonly<IncomingHttpHeaders>;
  readonly body: Buffer;
}

export interface WholePeerRequest {
  readonly method: "GET" | "POST";
  /** "/members". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
  /** A longer reply is refused. */
  readonly replyBytesMax?: number;
}

const defaultReplyBytesMax = 16 << 20;

/** Rejects when there is no whole reply in time; any status resolves. */
export function askPeer(
  dialer: PeerDialer,
  url: string,
  { method, path, timeoutMs, body, ...request }: WholePeerRequest,
): Promise<PeerReply> {
  const address = parsePeerUrl(url);
  if (address === undefined) return Promise.reject(new Error(`${url} is no peer URL`));
  const headers: Record<string, string> = { ...request.headers };
  if (body) headers["content-length"] = String(body.length);
  return new Promise((resolve, reject) => {
    const sent = dialer.open(address, { method, path, headers });
    const late = () => sent.destroy(new Error(`no reply from ${url}${path} in ${timeoutMs} ms`));
    const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
    timeout.addEventListener("abort", late, { once: true });
    const settle = () => timeout.removeEventListener("abort", late);
    sent.on("error", (error) => {
      settle();
      reject(error);
    });
    sent.on("response", (response) => {
      collect(response, request.replyBytesMax ?? defaultReplyBytesMax)
        .then(
          (whole) =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: whole }),
          reject,
        )
        .finally(settle);
    });
    sent.end(body);
  });
}

async function collect(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
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
