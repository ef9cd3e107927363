// What both conformance programs share: messages on stdin and stdout behind a 4-byte length, headers
// as messages, and errors with their details. The suite's Error message has the same fields as
// google.rpc.Status, so that one codec serves for both.

import type { StatusCode } from "../../../src/base/status.ts";
import { Metadata } from "../../../src/rpc/grpc/metadata.ts";
import { RpcError } from "../../../src/rpc/grpc/rpc-error.ts";
import {
  Error as ErrorMessage,
  type Header,
} from "../.cache/generated/conformance/connectrpc/conformance/v1/service.ts";

const detailsKey = "grpc-status-details-bin";

/** The messages on stdin, until its end. */
export async function* readMessages(): AsyncGenerator<Buffer> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    pending = Buffer.concat([pending, chunk as Buffer]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const end = 4 + pending.readUInt32BE(0);
      yield pending.subarray(4, end);
      pending = pending.subarray(end);
    }
  }
}

export function writeMessage(message: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  process.stdout.write(Buffer.concat([length, message]));
}

export function toMetadata(headers: readonly Header[]): Metadata {
  const metadata = new Metadata();
  for (const { name, value } of headers) {
    const isBinary = name.toLowerCase().endsWith("-bin");
    for (const one of value) metadata.append(name, isBinary ? Buffer.from(one, "base64") : one);
  }
  return metadata;
}

export function toHeaders(metadata: Metadata): Header[] {
  const headers = new Map<string, Header>();
  for (const [name, value] of metadata) {
    const header = headers.get(name) ?? { name, value: [] };
    headers.set(name, header);
    const text = typeof value === "string" ? value : Buffer.from(value).toString("base64");
    header.value.push(typeof value === "string" ? text : text.replace(/=+$/, ""));
  }
  return [...headers.values()];
}

export function toRpcError(error: ErrorMessage): RpcError {
  const metadata = new Metadata();
  if (error.details.length > 0) metadata.set(detailsKey, ErrorMessage.encode(error).finish());
  return new RpcError(error.code as StatusCode, error.message ?? "", metadata);
}

export function toErrorMessage(error: unknown): ErrorMessage {
  if (!(error instanceof RpcError)) throw error;
  const details = error.metadata.get(detailsKey);
  const decoded = details === undefined ? [] : ErrorMessage.decode(details).details;
  return ErrorMessage.fromPartial({
    code: error.code as ErrorMessage["code"],
    message: error.message,
    details: decoded,
  });
}

export function sleep(delayMs: number): Promise<void> {
  return delayMs === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, delayMs));
}
