// A client that asks for much and reads nothing costs a bounded amount of memory, also when all its
// requests came at once.

import { expect, it } from "vitest";
import { Status } from "../../base/status.ts";
import { connect } from "../http2/connect.ts";
import type { HeaderList, StreamReceiver } from "../http2/types.ts";
import { GrpcServer } from "./server.ts";

const reply = Buffer.alloc(1024 * 1024);
const sessionBytesMax = 8 * reply.length;

it("refuses what a client that does not read asks for beyond the limit", async () => {
  const server = new GrpcServer();
  server.addRawUnary("/test.Big/Get", (call) => call.reply(reply, 0, reply.length));
  const listener = await server.listen({
    host: "127.0.0.1",
    port: 0,
    http2Options: { sessionBytesMax },
  });
  const session = await connect(
    { host: "127.0.0.1", port: listener.port, http2Options: { streamWindowBytes: 1 } },
    {},
  );
  try {
    const statuses: string[] = [];
    await new Promise<void>((resolve) => {
      // All streams are let in before the first of them asks for anything.
      const streams = Array.from({ length: 100 }, () =>
        session.request(requestHeaders, false, new Statuses(statuses, resolve)),
      );
      for (const stream of streams) stream.sendMessage(Buffer.alloc(0), 0, 0, true);
    });
    expect(new Set(statuses)).toEqual(new Set([String(Status.RESOURCE_EXHAUSTED)]));
    expect(statuses.length).toBeGreaterThan(85);
    for (const one of listener.sessions) {
      expect(one.bufferedBytes).toBeLessThan(sessionBytesMax + 2 * reply.length);
    }
  } finally {
    session.destroy();
    await server.shutdown(0);
  }
});

const requestHeaders = [
  ":method",
  "POST",
  ":scheme",
  "http",
  ":path",
  "/test.Big/Get",
  ":authority",
  "test",
  "content-type",
  "application/grpc",
  "te",
  "trailers",
];

class Statuses implements StreamReceiver {
  readonly #statuses: string[];
  readonly #enough: () => void;

  constructor(statuses: string[], enough: () => void) {
    this.#statuses = statuses;
    this.#enough = enough;
  }

  onHeaders(headers: HeaderList): void {
    const at = headers.indexOf("grpc-status");
    if (at < 0) return;
    this.#add(headers[at + 1] as string);
  }

  #add(status: string): void {
    this.#statuses.push(status);
    if (this.#statuses.length === 90) this.#enough();
  }

  onData(): void {}
  onTrailers(): void {}
  onReset(errorCode: number): void {
    this.#add(`reset ${errorCode}`);
  }
  onWritable(): void {}
}
