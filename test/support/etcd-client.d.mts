// Types of etcd-client.mjs, for tests in TypeScript. Requests and responses are those of src/wire/generated.

export interface CallOptions {
  readonly timeoutMs?: number;
}

export class EtcdClient {
  constructor(endpoint: string);
  call<Response>(name: string, request?: object, options?: CallOptions): Promise<Response>;
  collect<Response>(name: string, request?: object, options?: CallOptions): Promise<Response[]>;
  open<Response>(name: string): Duplex<Response>;
  close(): void;
}

export interface Duplex<Response> {
  send(request: object): void;
  next(timeoutMs?: number): Promise<Response>;
  drain(): Response[];
  end(): void;
  cancel(): void;
}

export function connect(endpoint: string): EtcdClient;
