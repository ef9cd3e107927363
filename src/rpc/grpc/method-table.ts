// The methods a server knows, by path, and what one request's headers say. A head is worked out once
// per distinct header list: sessions hand out the same list object for repeated header blocks.

import { assert } from "../../base/assert.ts";
import { Status, type StatusCode } from "../../base/status.ts";
import type { HeaderList } from "../http2/types.ts";
import { parseEncoding } from "./compression.ts";
import { parseTimeout } from "./timeout.ts";
import type {
  Encoding,
  MethodInfo,
  MethodKind,
  RawStreamOpener,
  RawUnaryHandler,
} from "./types.ts";

/** Counters of one method; they only grow. */
export interface MethodStats {
  started: number;
  /** Ended calls by status code. */
  readonly handled: number[];
  messagesReceived: number;
  messagesSent: number;
}

export interface RegisteredMethod extends MethodInfo {
  /** Exactly one of the two is set. */
  readonly unary: RawUnaryHandler | undefined;
  readonly stream: RawStreamOpener | undefined;
  readonly stats: MethodStats;
}

/** Why a call is refused before it begins. */
export interface HeadFailure {
  /** 200 where the failure travels as a gRPC status. */
  readonly httpStatus: number;
  readonly code: StatusCode;
  readonly message: string;
}

export interface CallHead {
  readonly headers: HeaderList;
  readonly path: string;
  /** Undefined when there is none; then `failure` is set. */
  readonly method: RegisteredMethod | undefined;
  readonly failure: HeadFailure | undefined;
  readonly timeoutMs: number;
  /** How the request's messages are compressed. */
  readonly encoding: Encoding;
  readonly acceptEncoding: string | undefined;
}

export class MethodTable {
  readonly #methods = new Map<string, RegisteredMethod>();
  readonly #services = new Set<string>();

  /** Throws when the path is taken. */
  add(
    path: string,
    kind: MethodKind,
    unary: RawUnaryHandler | undefined,
    stream: RawStreamOpener | undefined,
  ): void {
    const parts = splitPath(path);
    assert(parts !== undefined, `Cannot register "${path}": a path is /service/method`);
    if (this.#methods.has(path)) throw new Error(`Cannot register ${path}: it is taken`);
    const stats = {
      started: 0,
      handled: new Array(17).fill(0),
      messagesReceived: 0,
      messagesSent: 0,
    };
    this.#methods.set(path, {
      path,
      service: parts.service,
      name: parts.method,
      kind,
      unary,
      stream,
      stats,
    });
    this.#services.add(parts.service);
  }

  get(path: string): RegisteredMethod | undefined {
    return this.#methods.get(path);
  }

  values(): IterableIterator<RegisteredMethod> {
    return this.#methods.values();
  }

  /** Reads the headers of a request. Never throws. */
  readHead(headers: HeaderList): CallHead {
    let path = "";
    let httpMethod = "";
    let contentType = "";
    let timeout: string | undefined;
    let encodingName: string | undefined;
    let acceptEncoding: string | undefined;
    for (let i = 0; i + 1 < headers.length; i += 2) {
      const value = headers[i + 1] as string;
      switch (headers[i]) {
        case ":path":
          path = value;
          break;
        case ":method":
          httpMethod = value;
          break;
        case "content-type":
          contentType = value;
          break;
        case "grpc-timeout":
          timeout = value;
          break;
        case "grpc-encoding":
          encodingName = value;
          break;
        case "grpc-accept-encoding":
          acceptEncoding = value;
          break;
        default:
      }
    }
    const method = this.#methods.get(path);
    const encoding = parseEncoding(encodingName);
    const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : parseTimeout(timeout);
    let failure = checkTransport(httpMethod, contentType);
    if (failure === undefined && timeoutMs === undefined) {
      failure = grpcFailure(Status.INTERNAL, `malformed grpc-timeout: ${JSON.stringify(timeout)}`);
    }
    if (failure === undefined && method === undefined) failure = this.#unknown(path);
    if (failure === undefined && encoding === undefined) {
      const text = `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encodingName)}`;
      failure = grpcFailure(Status.UNIMPLEMENTED, text);
    }
    return {
      headers,
      path,
      method,
      failure,
      timeoutMs: timeoutMs ?? Number.POSITIVE_INFINITY,
      encoding: encoding ?? "identity",
      acceptEncoding,
    };
  }

  #unknown(path: string): HeadFailure {
    const parts = splitPath(path);
    if (parts === undefined) {
      return grpcFailure(Status.UNIMPLEMENTED, `malformed method name: ${JSON.stringify(path)}`);
    }
    const text = this.#services.has(parts.service)
      ? `unknown method ${parts.method} for service ${parts.service}`
      : `unknown service ${parts.service}`;
    return grpcFailure(Status.UNIMPLEMENTED, text);
  }
}

function splitPath(path: string): { service: string; method: string } | undefined {
  const slash = path.lastIndexOf("/");
  if (path.charCodeAt(0) !== 0x2f || slash < 1) return undefined;
  return { service: path.slice(1, slash), method: path.slice(slash + 1) };
}

function grpcFailure(code: StatusCode, message: string): HeadFailure {
  return { httpStatus: 200, code, message };
}

/** True for the content types whose messages are protobuf over gRPC. */
export function isGrpcContentType(contentType: string): boolean {
  return (
    contentType === "application/grpc" ||
    contentType === "application/grpc+proto" ||
    contentType.startsWith("application/grpc;") ||
    contentType.startsWith("application/grpc+proto;")
  );
}

function checkTransport(httpMethod: string, contentType: string): HeadFailure | undefined {
  if (httpMethod !== "POST") {
    const message = `Received a HEADERS frame with :method "${httpMethod}" which should be POST`;
    return { httpStatus: 405, code: Status.INTERNAL, message };
  }
  if (!isGrpcContentType(contentType)) {
    const message = `invalid gRPC request content-type ${JSON.stringify(contentType)}`;
    return { httpStatus: 415, code: Status.INTERNAL, message };
  }
  return undefined;
}
