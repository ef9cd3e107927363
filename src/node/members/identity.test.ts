import { expect, test } from "vitest";
import { clusterIdOf, memberIdOf } from "./identity.ts";

test("the default single member has etcd's ids", () => {
  const member = memberIdOf(["http://localhost:2380"], "etcd-cluster");
  expect(member).toBe(10276657743932975437n);
  expect(clusterIdOf([member])).toBe(14841639068965178418n);
});

test("ids do not depend on the order of URLs or members", () => {
  expect(memberIdOf(["http://b", "http://a"], "t")).toBe(memberIdOf(["http://a", "http://b"], "t"));
  expect(clusterIdOf([2n, 1n])).toBe(clusterIdOf([1n, 2n]));
});
