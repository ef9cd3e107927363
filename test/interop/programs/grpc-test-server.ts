// The interop server: --port=N [--use_tls=true --tls_cert_file=F --tls_key_file=F]. Says "listening on N".

import { readFileSync } from "node:fs";
import { GrpcServer } from "../../../src/rpc/grpc/server.ts";
import { readFlags } from "./flags.ts";
import { addTestService } from "./test-service.ts";

const flags = readFlags();
const server = new GrpcServer();
addTestService(server);
const tls =
  flags.use_tls === "true"
    ? {
        cert: readFileSync(flags.tls_cert_file ?? ""),
        key: readFileSync(flags.tls_key_file ?? ""),
      }
    : undefined;
const listener = await server.listen({ port: Number(flags.port ?? 0), tls });
console.log(`listening on ${listener.port}`);
process.once("SIGTERM", () => void server.shutdown(100).then(() => process.exit(0)));
