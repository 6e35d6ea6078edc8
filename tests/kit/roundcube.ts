/**
 * Debian's Roundcube on loopback, as its package lays it out, under PHP's own web server. Everything
 * that it writes or is told lies in a temporary folder; nothing in /etc is changed.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { portOpens } from "./port-opens.ts";

export interface RoundcubeOptions {
  readonly port: number;
  /** Lines of config.inc.php, as an administrator writes them. */
  readonly config: string;
  /** Path at which it is served, such as "/roundcube". */
  readonly path: string;
}

export interface Roundcube extends AsyncDisposable {
  /** Requests that PHP has answered so far, such as "GET /roundcube/". */
  asked(): readonly string[];
  /** What went wrong in it. */
  errors(): string;
}

/** What has to be there, with the Debian package that brings it. */
const needed = [
  ["php-cli", "/usr/bin/php"],
  ["roundcube-core", "/var/lib/roundcube/public_html/index.php"],
  ["roundcube-sqlite3", "/usr/share/roundcube/SQL/sqlite.initial.sql"],
  ["roundcube-sqlite3", "/usr/share/doc/roundcube-sqlite3"],
  ["roundcube-plugins", "/usr/share/roundcube/plugins/http_authentication/http_authentication.php"],
  ["dovecot-imapd", "/usr/lib/dovecot/imap"],
] as const;

/** Why it cannot be tried here; undefined where it can. */
export function roundcubeIsMissing(): string | undefined {
  const absent = needed.find(([, path]) => !existsSync(path));
  if (absent !== undefined) return `the Debian package ${absent[0]} is not installed`;
  return process.getuid?.() === 0 ? undefined : "only root may start a Dovecot";
}

export async function startRoundcube(options: RoundcubeOptions): Promise<Roundcube> {
  const folder = mkdtempSync(join(tmpdir(), "postern-roundcube-"));
  for (const name of ["config", "temp", "logs", "html"]) mkdirSync(join(folder, name));
  symlinkSync("/var/lib/roundcube/public_html", join(folder, "html", options.path));
  makeDatabase(join(folder, "db.sqlite"));
  configure(folder, options.config);
  const log = join(folder, "php.log");
  const php = spawn("/usr/bin/php", ["-S", `127.0.0.1:${options.port}`, "-t", "html"], {
    cwd: folder,
    env: {
      ...process.env,
      PHP_CLI_SERVER_WORKERS: "4",
      ROUNDCUBE_CONFIG_DIR: join(folder, "config"),
    },
    stdio: ["ignore", openSync(log, "a"), openSync(log, "a")],
    detached: true, // its workers end with their group
  });
  await portOpens(options.port, php, log);
  return {
    asked: () =>
      [...readFileSync(log, "utf8").matchAll(/ \[\d{3}\]: (.*?)(?: - .*)?$/gm)].map(
        ([, line]) => line ?? "",
      ),
    errors() {
      const file = join(folder, "logs/errors.log");
      return existsSync(file) ? readFileSync(file, "utf8") : "";
    },
    async [Symbol.asyncDispose]() {
      if (php.exitCode === null && php.pid !== undefined) {
        const ended = once(php, "exit");
        process.kill(-php.pid, "SIGTERM");
        await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeDatabase(file: string): void {
  const database = new DatabaseSync(file);
  database.exec(readFileSync("/usr/share/roundcube/SQL/sqlite.initial.sql", "utf8"));
  database.close();
}

function configure(folder: string, config: string): void {
  for (const name of ["defaults.inc.php", "mimetypes.php"]) {
    symlinkSync(join("/etc/roundcube", name), join(folder, "config", name));
  }
  const places = `<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///${folder}/db.sqlite?mode=0600';
$config['temp_dir'] = '${folder}/temp/';
$config['log_dir'] = '${folder}/logs/';
$config['des_key'] = 'twenty-four octets here.';
${config}
`;
  writeFileSync(join(folder, "config/config.inc.php"), places);
}
