// Our gRPC client before grpc-go's interop server, plain and TLS. grpc-go's server does not have the
// compression cases: they run against our own server in grpc-server.mjs.

import { join } from "node:path";
import { buildProgram, goModuleFolder } from "./programs/build.mjs";
import {
  coreCases,
  freePort,
  judgeBinary,
  runProgram,
  Score,
  startServer,
  stopServer,
} from "./programs/judge.mjs";

const program = buildProgram("grpc-test-client");
const certificates = join(goModuleFolder("google.golang.org/grpc"), "testdata");
const score = new Score();
for (const tls of [false, true]) {
  const port = await freePort();
  const serverFlags = [`--port=${port}`];
  const clientFlags = ["--server_host=127.0.0.1", `--server_port=${port}`];
  if (tls) {
    serverFlags.push(
      "--use_tls=true",
      `--tls_cert_file=${join(certificates, "server1.pem")}`,
      `--tls_key_file=${join(certificates, "server1.key")}`,
    );
    clientFlags.push(
      "--use_tls=true",
      `--ca_file=${join(certificates, "ca.pem")}`,
      "--server_host_override=foo.test.google.fr",
    );
  }
  const server = await startServer(judgeBinary("grpc-interop-server"), serverFlags, port);
  try {
    for (const name of coreCases) {
      const args = [program, ...clientFlags, `--test_case=${name}`];
      const { code, output } = await runProgram(process.execPath, args);
      score.add(`${name}${tls ? " (TLS)" : ""}`, code === 0, output);
    }
  } finally {
    await stopServer(server);
  }
}
score.finish();
