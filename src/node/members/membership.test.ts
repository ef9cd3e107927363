import { expect, test } from "vitest";
import { ConfChangeKind, encodeConfChange } from "../../wire/conf-change.ts";
import { EtcdErrors } from "../../wire/errors.ts";
import { ConfChange } from "../../wire/generated/raft.ts";
import { memberJson, parseMembers, promotionJson } from "../../wire/member-json.ts";
import { confStateOf, decodeConfState, encodeConfState } from "./conf-state.ts";
import { Membership } from "./membership.ts";

function change(
  type: ConfChangeKind,
  nodeId: bigint,
  about?: { urls?: string[]; learner?: boolean } | "promote",
): ConfChange {
  const text =
    about === "promote"
      ? promotionJson(nodeId)
      : about &&
        memberJson({ ID: nodeId, peerURLs: about.urls ?? [], isLearner: about.learner ?? false });
  const context = text === undefined ? {} : { context: Buffer.from(text) };
  return ConfChange.decode(encodeConfChange({ type, nodeId, ...context }));
}

const { addNode, removeNode, updateNode, addLearnerNode } = ConfChangeKind;

function threeMembers(): Membership {
  const membership = new Membership(undefined);
  for (const id of [3n, 1n, 2n]) {
    membership.applyConfChange(change(addNode, id, { urls: [`http://m${id}:1`] }));
  }
  return membership;
}

test("members come and go, and what happened is told", () => {
  const membership = threeMembers();
  expect(membership.list().map((one) => one.ID)).toEqual([1n, 2n, 3n]);
  const learner = change(addLearnerNode, 4n, { urls: ["http://m4:1"], learner: true });
  expect(membership.applyConfChange(learner).effect).toEqual({
    kind: "added",
    id: 4n,
    peerUrls: ["http://m4:1"],
  });
  expect([membership.isLearner(4n), membership.isLearner(1n)]).toEqual([true, false]);
  expect(membership.voters().map((one) => one.ID)).toEqual([1n, 2n, 3n]);
  expect(membership.applyConfChange(change(addNode, 4n, "promote")).effect).toEqual({
    kind: "promoted",
    id: 4n,
  });
  expect([membership.isLearner(4n), membership.get(4n)?.peerURLs]).toEqual([
    false,
    ["http://m4:1"],
  ]);
  membership.setAttributes(4n, "m4", ["http://c:1"]);
  const moved = membership.applyConfChange(change(updateNode, 4n, { urls: ["http://new:1"] }));
  expect(moved.effect).toEqual({ kind: "updated", id: 4n, peerUrls: ["http://new:1"] });
  expect(membership.get(4n)).toMatchObject({ name: "m4", peerURLs: ["http://new:1"] });
  expect(membership.applyConfChange(change(removeNode, 4n)).effect).toEqual({
    kind: "removed",
    id: 4n,
  });
  expect([membership.isRemoved(4n), membership.get(4n)]).toEqual([true, undefined]);
});

test("what does not hold is refused with etcd's words and names nobody to the core", () => {
  const membership = threeMembers();
  membership.applyConfChange(change(removeNode, 2n));
  membership.applyConfChange(change(addLearnerNode, 5n, { urls: ["http://m5:1"], learner: true }));
  const cases: [ConfChange, unknown][] = [
    [change(addNode, 2n, { urls: ["http://m2:1"] }), EtcdErrors.memberNotFound],
    [change(removeNode, 2n), EtcdErrors.memberNotFound],
    [change(addNode, 1n, { urls: ["http://x:1"] }), EtcdErrors.memberExists],
    [change(addNode, 9n, { urls: ["http://x:1", "http://m3:1"] }), EtcdErrors.peerUrlExists],
    [change(addNode, 9n, "promote"), EtcdErrors.memberNotFound],
    [change(addNode, 1n, "promote"), EtcdErrors.memberNotLearner],
    [
      change(addLearnerNode, 9n, { urls: ["http://x:1"], learner: true }),
      EtcdErrors.tooManyLearners,
    ],
    [change(removeNode, 9n), EtcdErrors.memberNotFound],
    [change(updateNode, 9n, { urls: [] }), EtcdErrors.memberNotFound],
    [change(updateNode, 1n, { urls: ["http://m3:1"] }), EtcdErrors.peerUrlExists],
  ];
  const before = membership.encode();
  for (const [wrong, refusal] of cases) {
    const outcome = membership.applyConfChange(wrong);
    expect(outcome.refusal).toEqual(refusal);
    expect([outcome.effect, outcome.change.nodeId]).toEqual([undefined, 0n]);
  }
  expect(membership.encode()).toEqual(before);
  expect(membership.validate(change(updateNode, 1n, { urls: ["http://m1:1"] }))).toBeUndefined();
});

test("the last one with a vote stays, whatever is asked for", () => {
  const membership = threeMembers();
  const learner = change(addLearnerNode, 4n, { urls: ["http://m4:1"], learner: true });
  membership.applyConfChange(learner);
  for (const id of [1n, 2n]) membership.applyConfChange(change(removeNode, id));
  const last = membership.applyConfChange(change(removeNode, 3n));
  expect(last).toMatchObject({
    refusal: EtcdErrors.notEnoughStartedMembers,
    change: { nodeId: 0n },
  });
  expect(membership.applyConfChange(change(removeNode, 4n)).refusal).toBeUndefined();
});

test("more learners are let in where the settings say so", () => {
  const membership = new Membership(undefined, { maxLearners: 2 });
  for (const id of [1n, 2n]) {
    const learner = change(addLearnerNode, id, { urls: [`http://m${id}:1`], learner: true });
    expect(membership.applyConfChange(learner).refusal).toBeUndefined();
  }
  expect(membership.refuseLearners(0)).toBeUndefined();
  expect(membership.refuseLearners(1)).toEqual(EtcdErrors.tooManyLearners);
});

test("all of it is stored, and rows of before there were clusters are read", () => {
  const membership = threeMembers();
  membership.setAttributes(1n, 'na"me', ["http://c:1"]);
  membership.setClusterVersion("3.7.0");
  membership.setDowngrade({ enabled: true, targetVersion: "3.6.0" });
  membership.applyConfChange(change(removeNode, 3n));
  const again = new Membership(membership.encode());
  expect(again.list()).toEqual(membership.list());
  expect([again.clusterVersion, again.downgrade.targetVersion, again.removed()]).toEqual([
    "3.7.0",
    "3.6.0",
    [3n],
  ]);
  const old = { clusterVersion: "3.7.0", members: [] };
  expect(new Membership(Buffer.from(JSON.stringify(old))).removed()).toEqual([]);
});

test("JSON and ConfChange have the bytes that Go writes", () => {
  const member = { ID: 0xffff_ffff_ffff_fff1n, name: "a<b>&\u2028", peerURLs: ["http://a:1"] };
  expect(memberJson(member)).toBe(
    '{"id":18446744073709551601,"peerURLs":["http://a:1"],"name":"a\\u003cb\\u003e\\u0026\\u2028"}',
  );
  expect(memberJson({ ID: 5n, isLearner: true, clientURLs: ["x"] })).toBe(
    '{"id":5,"peerURLs":null,"isLearner":true,"clientURLs":["x"]}',
  );
  expect(promotionJson(7n)).toBe('{"id":7,"peerURLs":null,"isPromote":true}');
  const list = parseMembers(`[${memberJson({ ...member, clientURLs: ["c"], isLearner: true })}]\n`);
  expect(list).toEqual([{ ...member, clientURLs: ["c"], isLearner: true }]);
  expect(parseMembers("null\n")).toEqual([]);
  // A name that looks like a field of its own.
  const tricky = { ...member, name: '","id":1,"x":"', clientURLs: [], isLearner: false };
  expect(parseMembers(`[${memberJson(tricky)}]`)).toEqual([tricky]);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const context = Buffer.from("{}");
  expect(hex(encodeConfChange({ type: 0, nodeId: 1n, context }))).toBe("1000180122027b7d");
  expect(hex(encodeConfChange({ id: 300n, type: 1, nodeId: 2n }))).toBe("08ac0210011802");
});

test("who votes is kept in order", () => {
  const state = confStateOf([
    { ID: 9n, name: "", peerURLs: [], clientURLs: [], isLearner: false },
    { ID: 3n, name: "", peerURLs: [], clientURLs: [], isLearner: true },
    { ID: 2n, name: "", peerURLs: [], clientURLs: [], isLearner: false },
  ]);
  expect([state.voters, state.learners]).toEqual([[2n, 9n], [3n]]);
  expect(decodeConfState(encodeConfState(state))).toEqual(state);
  expect(decodeConfState(undefined).voters).toEqual([]);
});
