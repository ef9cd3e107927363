// The network between members as the rest of Portal uses it.

export { type CertificateSource, CertificateWatch } from "./certificate-watch.ts";
export { defaultPeerLimits, type PeerLimits } from "./peer-context.ts";
export { PeerDialer, type PeerDialTls, type PeerRequest } from "./peer-dialer.ts";
export {
  PeerListener,
  type PeerListenOptions,
  type PeerListenTls,
  type PeerPage,
  type PeerPageReply,
  type PeerPageRequest,
} from "./peer-listener.ts";
export { PeerCounters, PeerMetrics } from "./peer-metrics.ts";
export { formatId, type PeerIdentity, parseId } from "./peer-protocol.ts";
export { PeerServer } from "./peer-server.ts";
export {
  PeerTransport,
  type PeerTransportDependencies,
  type PeerTransportOptions,
} from "./peer-transport.ts";
export { type PeerAddress, parsePeerUrl } from "./peer-url.ts";
