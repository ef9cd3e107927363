// Turns the TLS flags into what a TLS listener takes, and checks the files before anyone connects:
// missing, unreadable or mismatched certificates end the start with the file's name.

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { PeerCertificate, SecureVersion, TlsOptions } from "node:tls";
import { ConfigError } from "./config-error.ts";
import { isIpAddress, isWildcard } from "./listen-url.ts";
import type { ServerConfig, TlsSettings } from "./server-config.ts";

const cipherNames: Readonly<Record<string, string>> = {
  TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256",
  TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
  TLS_CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
};

/** TLS for the addresses of clients, with the files it came from. */
export class ServerTls {
  readonly options: TlsOptions;
  /** Files whose change calls for `load` and a new context. */
  readonly files: readonly string[];
  /** Set when --auto-tls made a certificate just now. */
  readonly madeCertificate: string | undefined;
  readonly #allowedHostnames: readonly string[];

  private constructor(
    options: TlsOptions,
    files: readonly string[],
    madeCertificate: string | undefined,
    allowedHostnames: readonly string[],
  ) {
    this.options = options;
    this.files = files;
    this.madeCertificate = madeCertificate;
    this.#allowedHostnames = allowedHostnames;
  }

  /** Undefined when neither certificates nor --auto-tls are set. Throws ConfigError. */
  static async load(config: ServerConfig): Promise<ServerTls | undefined> {
    const { tls } = config;
    if (tls.certFile === "" && !tls.autoTls) return undefined;
    const made = tls.certFile === "" ? await ensureAutoCertificate(config) : undefined;
    const { certFile, keyFile } = made ?? tls;
    const options = await readServerOptions(tls, certFile, keyFile, "");
    const files = [certFile, keyFile, tls.trustedCaFile, tls.crlFile].filter((file) => file !== "");
    const isNew = made?.isNew ? certFile : undefined;
    return new ServerTls(options, files, isNew, tls.allowedHostnames);
  }

  /** Whether a client with this (verified) certificate may connect. */
  admits(certificate: PeerCertificate | undefined): boolean {
    return this.#allowedHostnames.length === 0 || carriesName(certificate, this.#allowedHostnames);
  }

  fingerprint(): Promise<string> {
    return fingerprintOf(this.files);
  }
}

/** Whether a certificate carries one of these host names or addresses. */
export function carriesName(
  certificate: PeerCertificate | undefined,
  names: readonly string[],
): boolean {
  if (certificate?.raw === undefined) return false;
  const parsed = new X509Certificate(certificate.raw);
  return names.some(
    (name) => (isIpAddress(name) ? parsed.checkIP(name) : parsed.checkHost(name)) !== undefined,
  );
}

/** A text that changes when one of the files does. */
export async function fingerprintOf(files: readonly string[]): Promise<string> {
  const stats = await Promise.all(files.map((file) => stat(file).catch(() => undefined)));
  return stats.map((one) => `${one?.mtimeMs}/${one?.size}`).join(" ");
}

async function ensureAutoCertificate(config: ServerConfig) {
  const { ensureSelfSigned } = await import("./self-signed.ts");
  const hosts = ["localhost", "127.0.0.1", "::1"];
  for (const listen of [...config.listenClientUrls, ...config.listenClientHttpUrls]) {
    if (isWildcard(listen)) hosts.push(hostname());
    else if (listen.target.kind === "tcp") hosts.push(listen.target.host);
  }
  const folder = join(config.dataDir, "fixtures", "client");
  return ensureSelfSigned(folder, hosts, config.tls.selfSignedValidityYears);
}

/** `prefix`: of the flags that name the files, "" or "peer-". */
export async function readServerOptions(
  tls: TlsSettings,
  certFile: string,
  keyFile: string,
  prefix: "" | "peer-",
): Promise<TlsOptions> {
  const cert = await readPem(certFile, `--${prefix}cert-file`);
  const key = await readPem(keyFile, `--${prefix}key-file`);
  checkPair(cert, certFile, key, keyFile);
  const wantsCertificate = tls.clientCertAuth || tls.trustedCaFile !== "";
  return {
    cert,
    key,
    minVersion: secureVersion(tls.minVersion),
    ...(tls.maxVersion === "" ? {} : { maxVersion: secureVersion(tls.maxVersion) }),
    ...(tls.cipherSuites.length === 0 ? {} : { ciphers: cipherList(tls.cipherSuites) }),
    ...(wantsCertificate
      ? {
          ca: await readCertificates(tls.trustedCaFile, `--${prefix}trusted-ca-file`),
          requestCert: true,
          rejectUnauthorized: true,
        }
      : {}),
    ...(tls.crlFile === ""
      ? {}
      : {
          crl: await readRevocations(
            tls.crlFile,
            prefix === "" ? "--client-crl-file" : "--peer-crl-file",
          ),
        }),
  };
}

function secureVersion(version: "TLS1.2" | "TLS1.3"): SecureVersion {
  return version === "TLS1.2" ? "TLSv1.2" : "TLSv1.3";
}

function cipherList(suites: readonly string[]): string {
  const names = suites.map((suite) => {
    const name = cipherNames[suite];
    if (name === undefined) {
      throw new ConfigError(`unexpected TLS cipher suite "${suite}"`, {
        hint: `--cipher-suites takes: ${Object.keys(cipherNames).join(", ")}.`,
      });
    }
    return name;
  });
  return [...new Set(names)].join(":");
}

export async function readPem(file: string, flag: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${flag} can not be read: ${reason}`, {
      hint: "Check the path and that this user may read the file.",
    });
  }
}

export async function readCertificates(file: string, flag: string): Promise<Buffer> {
  const bytes = await readPem(file, flag);
  parseCertificate(bytes, file);
  return bytes;
}

/** etcd takes revocation lists in DER; OpenSSL's tools write PEM. */
async function readRevocations(file: string, flag: string): Promise<string> {
  const bytes = await readPem(file, flag);
  return bytes.includes("-----BEGIN") ? bytes.toString() : pem("X509 CRL", bytes);
}

export function checkPair(cert: Buffer, certFile: string, key: Buffer, keyFile: string): void {
  const certificate = parseCertificate(cert, certFile);
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${keyFile} holds no usable private key in PEM form (${reason})`, {
      hint: "Keys with a passphrase are not supported; decrypt it with `openssl pkey`.",
    });
  }
  if (!matches) throw new ConfigError(`the key in ${keyFile} does not belong to ${certFile}`);
}

function parseCertificate(bytes: Buffer, file: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${file} holds no certificate in PEM form (${reason})`);
  }
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
