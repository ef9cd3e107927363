import { expect, test } from "vitest";
import { EtcdErrors } from "../wire/errors.ts";
import {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../wire/generated/rpc.ts";
import { checkTxn, isReadOnlyTxn, isSerializableTxn } from "./txn-check.ts";

const put = (key: string) =>
  RequestOp.fromPartial({
    request: { $case: "requestPut", value: PutRequest.fromPartial({ key: Buffer.from(key) }) },
  });
const del = (key: string, end = "") =>
  RequestOp.fromPartial({
    request: {
      $case: "requestDeleteRange",
      value: DeleteRangeRequest.fromPartial({ key: Buffer.from(key), rangeEnd: Buffer.from(end) }),
    },
  });
const range = (key: string, serializable = false) =>
  RequestOp.fromPartial({
    request: {
      $case: "requestRange",
      value: RangeRequest.fromPartial({ key: Buffer.from(key), serializable }),
    },
  });
const nested = (success: RequestOp[], failure: RequestOp[] = []) =>
  RequestOp.fromPartial({
    request: { $case: "requestTxn", value: TxnRequest.fromPartial({ success, failure }) },
  });
const check = (success: RequestOp[], failure: RequestOp[] = []) =>
  checkTxn(TxnRequest.fromPartial({ success, failure }), 128);

test("a key is written at most once in what can run together", () => {
  expect(check([put("a"), put("b")])).toBeUndefined();
  expect(check([put("a")], [put("a")])).toBeUndefined();
  expect(check([put("a"), put("a")])).toBe(EtcdErrors.duplicateKey);
  expect(check([put("a"), del("a")])).toBe(EtcdErrors.duplicateKey);
  expect(check([put("b"), del("a", "c")])).toBe(EtcdErrors.duplicateKey);
  expect(check([del("a", "c"), del("b")])).toBeUndefined();
  expect(check([nested([put("a")], [put("a")])])).toBeUndefined();
  expect(check([nested([put("a")]), nested([put("a")])])).toBe(EtcdErrors.duplicateKey);
  expect(check([nested([put("a")]), put("a")])).toBe(EtcdErrors.duplicateKey);
  expect(check([nested([del("a", "c")]), put("b")])).toBe(EtcdErrors.duplicateKey);
});

test("the number of operations is bounded, nested ones count against what is left", () => {
  const many = Array.from({ length: 129 }, (_, i) => put(`k${i}`));
  expect(check(many)).toBe(EtcdErrors.tooManyOperations);
  expect(check(many.slice(1))).toBeUndefined();
  expect(check([nested(many.slice(1))])).toBe(EtcdErrors.tooManyOperations);
  expect(check([nested(many.slice(2))])).toBeUndefined();
});

test("keys must be given and operations must say what they are", () => {
  expect(check([put("")])).toBe(EtcdErrors.emptyKey);
  expect(check([RequestOp.fromPartial({})])).toBe(EtcdErrors.keyNotFound);
});

test("read-only and serializable transactions are recognised", () => {
  const reads = TxnRequest.fromPartial({ success: [range("a", true)], failure: [range("b")] });
  expect(isReadOnlyTxn(reads)).toBe(true);
  expect(isSerializableTxn(reads)).toBe(false);
  expect(isReadOnlyTxn(TxnRequest.fromPartial({ success: [put("a")] }))).toBe(false);
});
