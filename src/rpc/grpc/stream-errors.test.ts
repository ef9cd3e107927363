// A stream handler that throws loses its call, and must hear of it like of any other end: whatever it holds for
// the call would be kept for ever otherwise.

import { expect, it } from "vitest";
import { Status, StatusError } from "../../base/status.ts";
import { Channel } from "./channel.ts";
import { createClient } from "./client.ts";
import { GrpcServer } from "./server.ts";

const bytesType = {
  encode: (message: Uint8Array) => ({ finish: () => message }),
  decode: (bytes: Uint8Array) => bytes,
  fromPartial: (partial: Uint8Array) => partial,
};

const Definition = {
  fullName: "test.Throws",
  methods: {
    both: {
      name: "Both",
      requestType: bytesType,
      requestStream: true,
      responseType: bytesType,
      responseStream: true,
    },
  },
} as const;

it("tells a stream handler that threw that its call is over", async () => {
  const server = new GrpcServer({ onHandlerError: () => {} });
  let cancels = 0;
  server.addRawStream("/test.Throws/Both", () => ({
    onMessage: () => {
      throw new StatusError(Status.INTERNAL, "can not be read");
    },
    onHalfClose: () => {},
    onCancel: () => cancels++,
    onDrain: () => {},
  }));
  const listener = await server.listen({ host: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.port}`);
  try {
    const call = createClient(Definition, channel).both();
    await call.write(Buffer.from("x"));
    const read = (async () => {
      for await (const _ of call) expect.fail("nothing is answered");
    })();
    await expect(read).rejects.toMatchObject({ code: Status.INTERNAL, message: "can not be read" });
    expect(cancels).toBe(1);
  } finally {
    channel.close();
    await server.shutdown(0);
  }
});
