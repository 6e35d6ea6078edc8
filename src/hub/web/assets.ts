/** The built application, held in memory: a few files whose names say what they hold. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { errorCode } from "#base/disk";
import type { Exchange } from "./exchange.ts";

/** The application loads its own files and nothing else, and no text becomes code (CSP 3). */
export const applicationPolicy: string = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".woff2": "font/woff2",
};

interface Asset {
  readonly type: string;
  readonly plain: Buffer;
  readonly gzip: Buffer | undefined;
  readonly etag: string;
}

export interface Assets {
  /** @param name path below /mail/; "" for the document; false when there is no such file */
  serve(name: string, exchange: Exchange): boolean;
}

export function openAssets(directory: string): Assets {
  const files = new Map<string, Asset>();
  for (const name of filesBelow(directory)) {
    const type = types[extname(name)];
    if (type === undefined) continue;
    const plain = readFileSync(join(directory, name));
    const small = type.startsWith("font/") ? undefined : gzipSync(plain, { level: 9 });
    const etag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`;
    files.set(name, { type, plain, gzip: small, etag });
  }
  return {
    serve(name, exchange) {
      const asset = files.get(name === "" ? "index.html" : name);
      if (asset === undefined || name === "index.html") return false;
      send(asset, name !== "", exchange);
      return true;
    },
  };
}

/** Hashed files never change under their name; the document is asked for each time. */
function send(asset: Asset, hashed: boolean, exchange: Exchange): void {
  const caching = hashed ? "private, max-age=31536000, immutable" : "no-store";
  const common = {
    "content-type": asset.type,
    "content-security-policy": applicationPolicy,
    "cache-control": caching,
    etag: asset.etag,
    vary: "accept-encoding",
  };
  if (hashed && exchange.header("if-none-match") === asset.etag) {
    exchange.answer(304, common);
    return;
  }
  const zipped = /\bgzip\b/.test(exchange.header("accept-encoding") ?? "") ? asset.gzip : undefined;
  const coding: Record<string, string> = zipped === undefined ? {} : { "content-encoding": "gzip" };
  exchange.answer(200, { ...common, ...coding }, zipped ?? asset.plain);
}

/** Names of files, with "/"; none when the application was not built. */
function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
      .map((name) => name.replaceAll("\\", "/"));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
