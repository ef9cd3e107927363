// Connect's conformance suite against our server and our client.
//
//   node test/interop/conformance.mjs [server|client]

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildProgram } from "./programs/build.mjs";
import { judgeBinary, runProgram } from "./programs/judge.mjs";

const cache = join(dirname(fileURLToPath(import.meta.url)), ".cache");
const config = join(cache, "conformance.yaml");
mkdirSync(cache, { recursive: true });
writeFileSync(
  config,
  `features:
  versions: [HTTP_VERSION_2]
  protocols: [PROTOCOL_GRPC]
  codecs: [CODEC_PROTO]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  streamTypes:
    - STREAM_TYPE_UNARY
    - STREAM_TYPE_CLIENT_STREAM
    - STREAM_TYPE_SERVER_STREAM
    - STREAM_TYPE_HALF_DUPLEX_BIDI_STREAM
    - STREAM_TYPE_FULL_DUPLEX_BIDI_STREAM
  supportsH2c: true
  supportsTls: true
  supportsTlsClientCerts: true
  supportsTrailers: true
  supportsMessageReceiveLimit: true
`,
);

let passed = 0;
let failed = 0;
for (const mode of process.argv[2] ? [process.argv[2]] : ["server", "client"]) {
  const program = buildProgram(`conformance-${mode}`, { conformance: true });
  const args = ["--mode", mode, "--conf", config, "--", process.execPath, program];
  const { code, output } = await runProgram(judgeBinary("connectconformance"), args, 300_000);
  const counts = [...output.matchAll(/^(\d+) passed, (\d+) failed/gm)].at(-1);
  const modePassed = Number(counts?.[1] ?? 0);
  const modeFailed = Number(counts?.[2] ?? 0) || (code === 0 && counts ? 0 : 1);
  passed += modePassed;
  failed += modeFailed;
  if (modeFailed > 0) console.log(output.trimEnd());
  console.log(`conformance ${mode}: ${modePassed} of ${modePassed + modeFailed}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
