// TLS between members: what the peer addresses listen with, what other members are dialled with, and
// which members are let in.

import { X509Certificate } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions, PeerCertificate, TlsOptions } from "node:tls";
import { isWildcard } from "./listen-url.ts";
import type { PeerTlsSettings, ServerConfig } from "./server-config.ts";
import {
  carriesName,
  checkPair,
  fingerprintOf,
  readCertificates,
  readPem,
  readServerOptions,
} from "./tls.ts";

/** Names behind an address, and addresses behind a name. */
export interface NameLookup {
  addressesOf(name: string): Promise<readonly string[]>;
  namesOf(address: string): Promise<readonly string[]>;
}

export class PeerTls {
  /** Undefined when the members of this cluster talk without TLS. */
  readonly server: TlsOptions | undefined;
  readonly client: ConnectionOptions;
  /** Files whose change calls for `load` and new contexts. */
  readonly files: readonly string[];
  /** Set when --peer-auto-tls made a certificate just now. */
  readonly madeCertificate: string | undefined;
  readonly #settings: PeerTlsSettings;

  private constructor(
    settings: PeerTlsSettings,
    server: TlsOptions | undefined,
    client: ConnectionOptions,
    files: readonly string[],
    madeCertificate: string | undefined,
  ) {
    this.#settings = settings;
    this.server = server;
    this.client = client;
    this.files = files;
    this.madeCertificate = madeCertificate;
  }

  /** Throws ConfigError. */
  static async load(config: ServerConfig): Promise<PeerTls> {
    const { peerTls: tls } = config;
    const isSelfMade = tls.certFile === "" && tls.autoTls;
    const made = isSelfMade ? await ensurePeerCertificate(config) : undefined;
    const { certFile, keyFile } = made ?? tls;
    const server =
      certFile === "" ? undefined : await readServerOptions(tls, certFile, keyFile, "peer-");
    const client = await clientOptions(tls, server, isSelfMade);
    const { trustedCaFile, crlFile, clientCertFile, clientKeyFile } = tls;
    const files = [certFile, keyFile, trustedCaFile, crlFile, clientCertFile, clientKeyFile];
    const used = files.filter((file) => file !== "");
    return new PeerTls(tls, server, client, used, made?.isNew ? certFile : undefined);
  }

  fingerprint(): Promise<string> {
    return fingerprintOf(this.files);
  }

  /**
   * Whether a member with this (verified) certificate may connect from `address`. Its names must be among those
   * allowed, or, when none are given, lead to where it comes from.
   */
  async admits(
    certificate: PeerCertificate | undefined,
    address: string,
    lookup: NameLookup,
  ): Promise<boolean> {
    const { allowedCommonNames, allowedHostnames, skipAddressCheck } = this.#settings;
    if (allowedCommonNames.length > 0) {
      return certificate?.subject !== undefined && hasCommonName(certificate, allowedCommonNames);
    }
    if (allowedHostnames.length > 0) return carriesName(certificate, allowedHostnames);
    if (certificate?.raw === undefined || skipAddressCheck) return true;
    return leadsTo(new X509Certificate(certificate.raw), address, lookup);
  }
}

function hasCommonName(certificate: PeerCertificate, names: readonly string[]): boolean {
  const { CN } = certificate.subject;
  const own: readonly unknown[] = Array.isArray(CN) ? CN : [CN];
  return names.some((name) => own.includes(name));
}

const none: readonly string[] = [];

/** A certificate without names may come from anywhere. */
async function leadsTo(
  certificate: X509Certificate,
  address: string,
  lookup: NameLookup,
): Promise<boolean> {
  const names = certificate.subjectAltName ?? "";
  if (certificate.checkIP(address) !== undefined) return true;
  const dnsNames = [...names.matchAll(/DNS:([^,\s]+)/g)].map((match) => match[1] as string);
  if (dnsNames.length === 0) return !names.includes("IP Address:");
  const known = await lookup.namesOf(address).catch(() => none);
  if (known.some((name) => certificate.checkHost(name.replace(/\.$/, "")) !== undefined)) {
    return true;
  }
  for (const name of dnsNames) {
    if (name.startsWith("*.")) continue;
    const addresses = await lookup.addressesOf(name).catch(() => none);
    if (addresses.includes(address)) return true;
  }
  return false;
}

async function clientOptions(
  tls: PeerTlsSettings,
  server: TlsOptions | undefined,
  isSelfMade: boolean,
): Promise<ConnectionOptions> {
  const { minVersion, maxVersion, ciphers } = server ?? {};
  const options: ConnectionOptions = {
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(ciphers === undefined ? {} : { ciphers }),
  };
  if (tls.clientCertFile !== "") {
    options.cert = await readPem(tls.clientCertFile, "--peer-client-cert-file");
    options.key = await readPem(tls.clientKeyFile, "--peer-client-key-file");
    checkPair(options.cert as Buffer, tls.clientCertFile, options.key as Buffer, tls.clientKeyFile);
  } else if (server?.cert && server.key) {
    options.cert = server.cert as Buffer;
    options.key = server.key as Buffer;
  }
  if (tls.trustedCaFile !== "") {
    options.ca = await readCertificates(tls.trustedCaFile, "--peer-trusted-ca-file");
  }
  // Each member made its own certificate: they can not know each other's, only encrypt.
  if (isSelfMade) options.rejectUnauthorized = false;
  return options;
}

async function ensurePeerCertificate(config: ServerConfig) {
  const { ensureSelfSigned } = await import("./self-signed.ts");
  const hosts = ["localhost", "127.0.0.1", "::1"];
  for (const listen of config.listenPeerUrls) {
    if (isWildcard(listen)) hosts.push(hostname());
    else if (listen.target.kind === "tcp") hosts.push(listen.target.host);
  }
  const folder = join(config.dataDir, "fixtures", "peer");
  return ensureSelfSigned(folder, hosts, config.peerTls.selfSignedValidityYears);
}
