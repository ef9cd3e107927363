// The one file that reads the process: arguments, environment, streams and signals become plain values
// here and go to the command that was asked for. Loads no more than that command needs.

import type { ServerEnd } from "./cli/server-command.ts";
import type { Program } from "./config/server-config.ts";

const [command, ...rest] = process.argv.slice(2);

if (command === "etcd") await serve("etcd", rest);
else if (command === "server") await serve("portal", rest);
else {
  const { runCli } = await import("./cli/cli.ts");
  await runCli(process.argv.slice(2));
}

async function serve(program: Program, argv: readonly string[]): Promise<void> {
  const [{ runServer }, { startServer }] = await Promise.all([
    import("./cli/server-command.ts"),
    import("./server/start-server.ts"),
  ]);
  const { GOFAIL_HTTP, GOFAIL_FAILPOINTS } = process.env;
  if (GOFAIL_HTTP || GOFAIL_FAILPOINTS) {
    const { serveFailpoints } = await import("./cli/failpoint-endpoint.ts");
    await serveFailpoints(process.env, {
      die: () => process.kill(process.pid, "SIGKILL"),
      write: (line) => process.stderr.write(line),
    });
  }
  const end = await runServer(program, argv, startServer, {
    environment: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    tool: process.env.PORTAL_TOOL ?? "portal",
    onSignal: (signal, listener) => process.on(signal, listener),
    uptimeMs: () => process.uptime() * 1000,
  });
  finish(end);
}

/** A signal that ended the server ends the process in its own way, as etcd's parent expects. */
function finish(end: ServerEnd): void {
  if ("exitCode" in end) process.exit(end.exitCode);
  process.removeAllListeners(end.signal);
  process.kill(process.pid, end.signal);
}
