/** For tests: a SoftHSM token of its own, made with the tools an administrator has. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TokenSettings } from "./token-source.ts";

const softModule = "/usr/lib/softhsm/libsofthsm2.so";
const pin = "9876";

export interface SoftToken {
  readonly folder: string;
  readonly settings: TokenSettings;
  /** Makes a key as the manual says. */
  makeKey(label: string, type?: string): void;
  /** What the tool tells of a key; empty when there is none. */
  show(label: string): string;
  /** Takes it out of its slot. */
  unplug(): void;
  plug(): void;
  remove(): void;
}

export function makeSoftToken(): SoftToken {
  const folder = mkdtempSync(join(tmpdir(), "soft-token-"));
  const tokens = join(folder, "tokens");
  const away = join(folder, "away");
  mkdirSync(tokens);
  const configuration = join(folder, "softhsm2.conf");
  writeFileSync(configuration, `directories.tokendir = ${tokens}\nobjectstore.backend = file\n`);
  const pinFile = join(folder, "pin");
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  const run = (program: string, ...args: string[]): string =>
    execFileSync(program, args, {
      env: { ...process.env, SOFTHSM2_CONF: configuration },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  const tool = (...args: string[]): string =>
    run("pkcs11-tool", "--module", softModule, "--login", "--pin", pin, ...args);
  run(
    ...(["softhsm2-util", "--init-token", "--free", "--label", "postern"] as const),
    ...["--so-pin", "12345678", "--pin", pin],
  );
  return {
    folder,
    settings: {
      module: softModule,
      label: "postern",
      key: "postern-master",
      pinFile,
      environment: [`SOFTHSM2_CONF=${configuration}`],
    },
    makeKey: (label, type = "AES:32") => {
      tool("--keygen", "--key-type", type, "--label", label);
    },
    show: (label) =>
      tool("--list-objects")
        .split("Secret Key Object")
        .find((one) => one.includes(` ${label}\n`)) ?? "",
    unplug: () => {
      renameSync(tokens, away);
      mkdirSync(tokens);
    },
    plug: () => renameSync(away, tokens),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
