// Our gRPC server before grpc-go's interop client, plain and TLS; and before our own client for the
// compression cases, which grpc-go's client does not have.

import { join } from "node:path";
import { buildProgram, goModuleFolder } from "./programs/build.mjs";
import {
  compressionCases,
  coreCases,
  freePort,
  judgeBinary,
  runProgram,
  Score,
  startServer,
  stopServer,
} from "./programs/judge.mjs";

const program = buildProgram("grpc-test-server");
const ownClient = buildProgram("grpc-test-client");
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
  const server = await startServer(process.execPath, [program, ...serverFlags], port);
  try {
    for (const name of [...coreCases, ...compressionCases]) {
      const own = compressionCases.includes(name);
      const command = own ? process.execPath : judgeBinary("grpc-interop-client");
      const args = own
        ? [ownClient, ...clientFlags]
        : clientFlags.concat(tls ? "--use_test_ca=true" : []);
      const { code, output } = await runProgram(command, [...args, `--test_case=${name}`]);
      score.add(`${name}${tls ? " (TLS)" : ""}`, code === 0, output);
    }
  } finally {
    await stopServer(server);
  }
}
score.finish();
