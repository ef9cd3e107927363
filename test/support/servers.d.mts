// Types of servers.mjs, for tests in TypeScript.

export interface ServerOptions {
  /** Extra flags, after the common ones; both servers take etcd's. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Kept when given; otherwise a temporary folder that stop() removes. */
  readonly dataDir?: string;
  /** Client and peer port, to start again on the same ones. */
  readonly port?: number;
  readonly peerPort?: number;
  readonly readyTimeoutMs?: number;
  /** Portal: another Node binary, its flags, or a whole other command. */
  readonly node?: string;
  readonly nodeFlags?: readonly string[];
  readonly command?: readonly string[];
}

export interface ExitResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Server {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly peerPort: number;
  /** host:port of the client URL. */
  readonly endpoint: string;
  readonly dataDir: string;
  readonly readyAfterMs: number;
  readonly output: string;
  readonly exited: Promise<ExitResult>;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<ExitResult>;
  terminate(patienceMs?: number): Promise<ExitResult>;
  stop(): Promise<void>;
}

export class ServerStartError extends Error {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

export function startPortal(options?: ServerOptions): Promise<Server>;
export function startEtcd(options: ServerOptions & { readonly binary: string }): Promise<Server>;
export function freePorts(count: number): Promise<number[]>;
