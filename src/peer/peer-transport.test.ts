import { afterEach, expect, test } from "vitest";
import { MessageType } from "../raft/message.ts";
import { aMessage, plain } from "./testing/any-message.ts";
import { startMembers, type TestMember, until } from "./testing/rig.ts";

const members: TestMember[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.close()));
});

async function start(count: number, options = {}): Promise<TestMember[]> {
  members.push(...(await startMembers(count, options)));
  return members;
}

test("messages go both ways, in order, over the streams", async () => {
  const [one, two] = (await start(2)) as [TestMember, TestMember];
  const sent = Array.from({ length: 50 }, (_, i) =>
    aMessage({ type: MessageType.heartbeat, from: 1n, to: 2n, term: 3, commit: i }),
  );
  one.transport.send(sent);
  two.transport.send([aMessage({ type: MessageType.voteResp, from: 2n, to: 1n, term: 9 })]);
  await until(() => two.handler.messages.length === 50 && one.handler.messages.length === 1);
  expect(two.handler.messages.map(plain)).toEqual(sent.map(plain));
  expect(one.handler.messages[0]?.term).toBe(9);
});
