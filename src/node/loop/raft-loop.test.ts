// What the core or a handler finds impossible ends the member and is told once; it never reaches the process.

import { afterEach, expect, it, vi } from "vitest";
import { RawNode } from "../../raft/raw-node.ts";
import { PutRequest } from "../../wire/generated/rpc.ts";
import { CommandField } from "../replica-types.ts";
import { MemberWorld, turns } from "../testing/member-world.ts";
import { RaftLoop } from "./raft-loop.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function openWorld() {
  const world = new MemberWorld();
  const replica = await world.open();
  const failures: string[] = [];
  replica.onFatal = (error) => failures.push(error.message);
  return { world, replica, failures };
}

const put = PutRequest.encode(
  PutRequest.fromPartial({ key: Buffer.from("a"), value: Buffer.from("1") }),
).finish();

it("a core that throws when it hears of a write ends the member, and whoever waits is told", async () => {
  const { world, replica, failures } = await openWorld();
  vi.spyOn(RawNode.prototype, "step").mockImplementation(() => {
    throw new Error("impossible");
  });
  await expect(replica.proposeAsync(CommandField.put, put)).rejects.toThrow("server stopped");
  expect(failures).toEqual(["impossible"]);
  vi.restoreAllMocks();
  await world.close();
});

it("so does one that throws at a tick", async () => {
  const { world, failures } = await openWorld();
  vi.spyOn(RawNode.prototype, "tick").mockImplementation(() => {
    throw new Error("impossible");
  });
  await world.pass(300);
  expect(failures).toEqual(["impossible"]);
  await world.close();
});

it("or at what a peer sends", async () => {
  let loop: RaftLoop | undefined;
  const { run } = RaftLoop.prototype;
  vi.spyOn(RaftLoop.prototype, "run").mockImplementation(function (this: RaftLoop) {
    loop = this;
    run.call(this);
  });
  const { world, failures } = await openWorld();
  vi.spyOn(RawNode.prototype, "step").mockImplementation(() => {
    throw new Error("impossible");
  });
  loop?.receive([{} as never]);
  await turns(3);
  expect(failures).toEqual(["impossible"]);
  vi.restoreAllMocks();
  await world.close();
});
