import { expect, test } from "vitest";
import { Status, StatusError } from "../base/status.ts";
import { EtcdErrors, findEtcdError, toStatusError } from "./errors.ts";

test("all of etcd's statuses are there, by code", () => {
  const all = Object.values(EtcdErrors);
  const count = (code: number) => all.filter((error) => error.code === code).length;
  expect(new Set(all.map((error) => error.message)).size).toBe(all.length);
  expect(all.every((error) => error.message.startsWith("etcdserver: "))).toBe(true);
  expect([
    count(Status.FAILED_PRECONDITION),
    count(Status.INVALID_ARGUMENT),
    count(Status.UNAVAILABLE),
    count(Status.OUT_OF_RANGE),
    all.length,
  ]).toEqual([24, 18, 8, 3, 63]);
});

test("a status becomes an error and is found by its text", () => {
  const error = toStatusError(EtcdErrors.compacted);
  expect(error).toBeInstanceOf(StatusError);
  expect(error.code).toBe(Status.OUT_OF_RANGE);
  expect(findEtcdError(error.message)).toBe(EtcdErrors.compacted);
  expect(findEtcdError("else")).toBeUndefined();
  expect(Object.isFrozen(EtcdErrors.compacted)).toBe(true);
});
