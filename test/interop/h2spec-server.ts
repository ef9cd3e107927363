// The server that h2spec judges: every GET is answered over HTTP/2 at the end of its request.
// Usage: node h2spec-server.js [PORT] [KEY CERT]. Prints the port it listens on.

import { readFileSync } from "node:fs";
import { listen } from "../../src/rpc/http2/listener.ts";

const [port = "0", keyFile, certFile] = process.argv.slice(2);
const tls =
  keyFile && certFile ? { key: readFileSync(keyFile), cert: readFileSync(certFile) } : undefined;
const listener = await listen({
  host: "127.0.0.1",
  port: Number(port),
  tls,
  http2Options: { maxConcurrentStreams: 100 },
  httpHandler: (_request, reply) =>
    reply.send(200, { "content-type": "text/plain" }, "hello from the server under test\n"),
});
console.log(listener.port);
process.on("SIGTERM", () => process.exit(0));
