// A member inside this process: the same server as `portal server`, started and stopped by a program.

import { type Logger, silentLogger } from "./base/log.ts";
import { Client } from "./client/client.ts";
import type { FlagTexts } from "./config/arguments.ts";
import type { FlagName } from "./config/flag-table.ts";
import { buildServerConfig } from "./config/server-config.ts";
import { type RunningServer, startServer } from "./server/start-server.ts";

export interface PortalOptions {
  /** Where the data lives. Default "./portal-data". */
  readonly dataDir?: string;
  /** Keeps everything in memory, for tests; nothing touches the disk and everything ends with `close`. */
  readonly memory?: boolean;
  /** Address for other processes' clients. Default "127.0.0.1:0", a free port; see `endpoints`. */
  readonly listen?: string;
  /** Name of the member. Default "default". */
  readonly name?: string;
  /** Any flag of `portal server` by its name, for instance `{ "quota-backend-bytes": "8589934592" }`. */
  readonly flags?: Readonly<Partial<Record<FlagName, string>>>;
  /** Receives what the member reports. Default: nothing is written. */
  readonly log?: Logger;
}

/**
 * ```ts
 * await using portal = await Portal.start({ memory: true });
 * await portal.client.put("greeting", "hello");
 * ```
 */
export class Portal implements AsyncDisposable {
  /** Where clients of other processes connect: "http://127.0.0.1:40123". */
  readonly endpoints: readonly string[];
  /** A client of this member; closed with it. */
  readonly client: Client;
  /** Rejects when the member can not go on (its disk failed); else pending for ever. */
  readonly failure: Promise<never>;
  readonly #server: RunningServer;
  #closing: Promise<void> | undefined;

  private constructor(server: RunningServer) {
    this.#server = server;
    this.endpoints = server.clientUrls;
    this.failure = server.failure;
    this.client = new Client({ endpoints: server.clientUrls });
  }

  /** Resolves when the member serves. Rejects with a ConfigError or StatusError that says what to do. */
  static async start(options: PortalOptions = {}): Promise<Portal> {
    const url = `http://${options.listen ?? "127.0.0.1:0"}`;
    const texts = new Map<FlagName, string>([
      ["listen-client-urls", url],
      ["advertise-client-urls", url],
      ["data-dir", options.dataDir ?? "./portal-data"],
    ]);
    if (options.name !== undefined) texts.set("name", options.name);
    for (const [flag, text] of Object.entries(options.flags ?? {})) {
      texts.set(flag as FlagName, text);
    }
    const { config } = buildServerConfig("portal", texts satisfies FlagTexts);
    const server = await startServer(config, options.log ?? silentLogger, {
      memory: options.memory === true,
      embedded: true,
    });
    return new Portal(server);
  }

  /** Ends what is under way, writes everything to disk and lets go of the data directory. */
  close(): Promise<void> {
    this.#closing ??= this.client.close().then(() => this.#server.close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
