// The least that a gRPC server can do over our HTTP/2: every call gets the same small reply. Measures the
// cost of HTTP/2 alone. Usage: node http2-server.js [PORT] [REPLY_BYTES] [KEY CERT]. Prints the port.

import { readFileSync } from "node:fs";
import { listen } from "../../src/rpc/http2/listener.ts";
import { prepareHeaders } from "../../src/rpc/http2/prepared-headers.ts";
import type { Http2Stream, StreamReceiver } from "../../src/rpc/http2/types.ts";

const headers = prepareHeaders([":status", "200", "content-type", "application/grpc"]);
const trailers = prepareHeaders(["grpc-status", "0"]);
const [port = "0", replyBytes = "32", keyFile, certFile] = process.argv.slice(2);
const reply = Buffer.alloc(Number(replyBytes), 7);
const tls =
  keyFile && certFile ? { key: readFileSync(keyFile), cert: readFileSync(certFile) } : undefined;

class CannedCall implements StreamReceiver {
  readonly #stream: Http2Stream;

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  onData(_source: Buffer, _start: number, _end: number, endStream: boolean): void {
    if (endStream) this.#stream.sendUnary(headers, reply, 0, reply.length, trailers);
  }

  onTrailers(): void {}
  onReset(): void {}
  onWritable(): void {}
}

const listener = await listen({
  port: Number(port),
  tls,
  onGrpcStream: (stream) => new CannedCall(stream),
});
console.log(listener.port);
process.on("SIGTERM", () => process.exit(0));
