// Puts pages onto the network's HTTP handler.

import type { HttpHandler, HttpRequest } from "../rpc/http2/http-handler.ts";
import type { PageReply, PageRequest } from "./http-page.ts";

/** Serves what `answer` returns, to HTTP/1.1 and HTTP/2 alike. */
export function httpHandlerFor(answer: (request: PageRequest) => Promise<PageReply>): HttpHandler {
  return async (request, reply) => {
    const { status, headers, body } = await answer(pageRequest(request));
    reply.send(status, headers, body);
  };
}

function pageRequest({ method, path: target, headers, secure }: HttpRequest): PageRequest {
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark === -1 ? "" : target.slice(mark + 1));
  return { method, path, query, headers, secure };
}
