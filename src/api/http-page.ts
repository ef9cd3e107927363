// A page served over HTTP/1.1 or HTTP/2 beside gRPC: request and reply as plain values, and the few
// replies that are the same everywhere. Header names are lower case.

export interface PageRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Whether it came over TLS. */
  readonly secure: boolean;
}

export interface PageReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Page = (request: PageRequest) => PageReply | Promise<PageReply>;

const plainText = "text/plain; charset=utf-8";

export function reply(status: number, body: string, contentType = plainText): PageReply {
  return { status, headers: { "content-type": contentType }, body };
}

/** Text that a browser must not take for anything else; ends with a line feed. */
export function textReply(
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): PageReply {
  return {
    status,
    headers: { ...headers, "content-type": plainText, "x-content-type-options": "nosniff" },
    body: `${text}\n`,
  };
}

export const notFound: PageReply = textReply(404, "404 page not found");

/** Lets through GET only. */
export function getOnly(page: Page): Page {
  const refusal = textReply(405, "Method Not Allowed", { allow: "GET" });
  return (request) => (request.method === "GET" ? page(request) : refusal);
}
