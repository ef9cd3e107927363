// What the suites share: running foreign programs, counting, and the binaries' folder.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

export function judgeBinary(name) {
  return join(process.env.PORTAL_INTEROP_BIN || join(here, "../.cache/bin"), name);
}

/** A port that was free a moment ago, for programs that can not choose one themselves. */
export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export async function waitForPort(port) {
  for (let tries = 0; tries < 100; tries++) {
    const socket = net.connect(port, "127.0.0.1");
    const connected = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on ${port}`);
}

/** Runs a program to its end; never rejects. */
export async function runProgram(command, args, timeoutMs = 30_000) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const [code] = await once(child, "close");
  clearTimeout(timer);
  return { code, output };
}

/** Starts a server; resolves with its process once `isReady` is satisfied. */
export async function startServer(command, args, port) {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  await waitForPort(port);
  return child;
}

export async function stopServer(child) {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
  await once(child, "exit");
  clearTimeout(timer);
}

export class Score {
  passed = 0;
  failed = 0;

  add(name, ok, output = "") {
    if (ok) this.passed++;
    else {
      this.failed++;
      console.log(`FAILED ${name}\n${output.trimEnd()}`);
    }
  }

  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exitCode = this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}

export const coreCases = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
  "rpc_soak",
  "channel_soak",
];
export const compressionCases = [
  "client_compressed_unary",
  "client_compressed_streaming",
  "server_compressed_unary",
  "server_compressed_streaming",
];
