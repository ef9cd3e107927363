// Byte connections as an input: TCP, TLS and unix sockets behind one small interface, so that the
// protocols above can run on an in-memory pair in tests and in the simulator. One write is under way
// at a time; nothing is queued here, so the owner's bound is the bound.

import net from "node:net";
import type { Duplex } from "node:stream";
import tls from "node:tls";

/** What a connection tells its owner. Calls never come from inside a call to the connection. */
export interface ConnectionHandler {
  /** Bytes that came. The chunk is never overwritten. */
  onData(chunk: Buffer): void;
  /** The write that returned false is done. */
  onWritable(): void;
  /** The peer will send no more. */
  onEnd(): void;
  /** Once, at last. `error` is undefined after an orderly end. */
  onClose(error: Error | undefined): void;
}

export interface Connection {
  handler: ConnectionHandler;
  /** "address:port", "[address]:port", or "unix:". */
  readonly remoteAddress: string;
  readonly localAddress: string;
  /** What ALPN chose; "" without TLS or without agreement. */
  readonly protocol: string;
  readonly secure: boolean;
  /** The peer's certificate; undefined without TLS or when it showed none. */
  peerCertificate(): tls.PeerCertificate | undefined;
  /**
   * Hands bytes to the operating system. True: all taken, the buffer is the caller's again. False: the
   * buffer is in use, and no other write is allowed, until onWritable.
   */
  write(bytes: Uint8Array): boolean;
  /** No onData until resume. */
  pause(): void;
  resume(): void;
  /** Sends what is under way, then FIN. */
  end(): void;
  /** Closes at once. */
  destroy(error?: Error): void;
  /** Gives the connection away as a Node stream, with `seen` put back in front. The handler hears nothing more. */
  handOver(seen: Buffer): Duplex;
}
