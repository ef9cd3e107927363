// What a person sees when a server is ready: what it is, where it listens, what to type next.

import type { ServerConfig } from "../config/server-config.ts";

export interface BannerFacts {
  readonly config: ServerConfig;
  /** Where it listens, with the real ports. */
  readonly clientUrls: readonly string[];
  /** From the start of the process. */
  readonly startMs: number;
  /** How the command line tool is called from here. */
  readonly tool: string;
  readonly colors: boolean;
}

const defaultUrls = ["http://127.0.0.1:2379", "http://localhost:2379"];

export function bannerText(facts: BannerFacts): string {
  const { config, clientUrls, tool } = facts;
  const [bold, dim] = facts.colors ? [style(1, 22), style(2, 22)] : [plain, plain];
  const first = clientUrls[0] ?? "";
  const flags = [
    ...(defaultUrls.includes(first) ? [] : [`--endpoints ${first}`]),
    ...(config.tls.autoTls ? [`--cacert ${config.dataDir}/fixtures/client/cert.pem`] : []),
  ];
  const command = (words: string) => [tool, words, ...flags].join(" ");
  return [
    "",
    `${bold("Portal")}: a durable key-value store that speaks the etcd v3 API`,
    "",
    `  clients  ${clientUrls.join("  ")}  ${dim("(gRPC, and HTTP: /health /metrics /version)")}`,
    ...clusterLine(config),
    `  data     ${config.dataDir}`,
    "",
    `${bold("ready to serve client requests")} ${dim(`after ${Math.round(facts.startMs)} ms`)}. Next, in another terminal:`,
    "",
    `  ${command("put greeting hello")}`,
    `  ${command("get greeting")}`,
    `  ${command("watch greeting")}`,
    "",
    dim("etcdctl and every etcd client work as well. Ctrl-C stops the server."),
    "",
    "",
  ].join("\n");
}

/** Only where there are others: alone, there is nothing to say. How many they are is not in the flags for long. */
function clusterLine(config: ServerConfig): string[] {
  if (config.initialCluster.length < 2 || config.forceNewCluster) return [];
  return [
    `  cluster  ${config.name}, which others reach at ${config.advertisePeerUrls.join("  ")}`,
  ];
}

function style(on: number, off: number): (text: string) => string {
  return (text) => `\u001b[${on}m${text}\u001b[${off}m`;
}

function plain(text: string): string {
  return text;
}
