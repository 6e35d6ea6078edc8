/** Reverse proxies from Debian's packages in front of one origin, each set up for the same job. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export interface Ground {
  readonly folder: string;
  /** PEM files of one P-256 certificate for "localhost". */
  readonly certificate: string;
  readonly key: string;
  readonly originPort: number;
}

export interface Peer extends AsyncDisposable {
  /** What a request carries to be let in. */
  readonly cookie: string;
}

export const pageBytes = 10_000;
export const bigBytes = 1_000_000_000;
const session = "c2Vzc2lvbi1vZi10aGUtYmVuY2g";

/** Serves /app/page and /app/big over plain HTTP on loopback. */
export async function startOrigin(ground: Ground): Promise<AsyncDisposable> {
  const root = join(ground.folder, "origin");
  mkdirSync(join(root, "app"), { recursive: true });
  writeFileSync(join(root, "app/page"), Buffer.alloc(pageBytes, "A published page. "));
  const big = openSync(join(root, "app/big"), "w");
  ftruncateSync(big, bigBytes);
  closeSync(big);
  const server = `listen 127.0.0.1:${ground.originPort} backlog=4096; root ${root}; default_type text/plain;`;
  return nginx(ground, {
    name: "origin",
    workers: 1,
    body: `server { ${server} }`,
    port: ground.originPort,
  });
}

export function startNginx(ground: Ground, port: number): Promise<Peer> {
  const body = nginxFront(ground, port, "");
  return nginx(ground, { name: "nginx", workers: 2, body, port });
}

/** As nginx, and each request is first asked of a session service written for Node. */
export async function startNginxAuth(
  ground: Ground,
  port: number,
  checkPort: number,
): Promise<Peer> {
  const program = `
    import { createServer } from "node:http";
    const sessions = new Map([["${session}", { usedAt: 0 }]]);
    createServer((request, response) => {
      const cookie = /(?:^|; )session=([^;]*)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
      const found = sessions.get(cookie);
      if (found !== undefined) found.usedAt = Date.now();
      response.writeHead(found === undefined ? 401 : 204).end();
    }).listen(${checkPort}, "127.0.0.1");`;
  const check = await started(
    spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "ignore" }),
    checkPort,
  );
  const proxy = await nginx(ground, {
    name: "nginx-auth",
    workers: 2,
    body: `upstream check { server 127.0.0.1:${checkPort}; keepalive 64; keepalive_requests 1000000; }
     ${nginxFront(ground, port, "auth_request /check;")}`,
    port,
  });
  return {
    cookie: `session=${session}`,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await check[Symbol.asyncDispose]();
    },
  };
}

/** The least that such a check can cost: nginx itself compares the cookie with one value. */
export async function startNginxAuthStatic(
  ground: Ground,
  port: number,
  checkPort: number,
): Promise<Peer> {
  const proxy = await nginx(ground, {
    name: "nginx-auth-static",
    workers: 2,
    body: `map $cookie_session $known { "${session}" 204; default 401; }
     server { listen 127.0.0.1:${checkPort}; location / { if ($known = 401) { return 401; } return 204; } }
     upstream check { server 127.0.0.1:${checkPort}; keepalive 64; keepalive_requests 1000000; }
     ${nginxFront(ground, port, "auth_request /check;")}`,
    port,
  });
  return { ...proxy, cookie: `session=${session}` };
}

/** mod_auth_form with its session in an encrypted cookie, and mod_proxy. */
export async function startApache(ground: Ground, port: number): Promise<Peer> {
  const folder = join(ground.folder, "apache");
  mkdirSync(folder, { recursive: true });
  const password = createHash("sha1").update("secret").digest("base64");
  writeFileSync(join(folder, "users"), `ana:{SHA}${password}\n`);
  const modules = [
    ["mpm_event", "ssl", "socache_shmcb", "proxy", "proxy_http", "authn_core", "authn_file"],
    ["authz_core", "authz_user", "auth_form", "request", "session", "session_cookie"],
    ["session_crypto"],
  ].flat();
  const load = modules.map(
    (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
  );
  writeFileSync(
    join(folder, "apache.conf"),
    `${load.join("\n")}
ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
Mutex posixsem
User www-data
Group www-data
StartServers 2
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MaxKeepAliveRequests 0
KeepAliveTimeout 60
Listen 127.0.0.1:${port}
SSLSessionCache shmcb:${folder}/cache(512000)
<VirtualHost 127.0.0.1:${port}>
  SSLEngine on
  SSLCertificateFile ${ground.certificate}
  SSLCertificateKeyFile ${ground.key}
  SSLProtocol TLSv1.3
  <Proxy http://127.0.0.1:${ground.originPort}/>
    ProxySet keepalive=On
  </Proxy>
  <Location /app>
    ProxyPass http://127.0.0.1:${ground.originPort}/app
    AuthType form
    AuthName bench
    AuthFormProvider file
    AuthUserFile ${folder}/users
    AuthFormLoginRequiredLocation /login
    Session On
    SessionCookieName session path=/
    SessionCryptoPassphrase bench-secret
    Require valid-user
  </Location>
  <Location /in>
    SetHandler form-login-handler
    AuthFormLoginSuccessLocation /app/page
    Require all granted
    AuthType form
    AuthName bench
    AuthFormProvider file
    AuthUserFile ${folder}/users
    Session On
    SessionCookieName session path=/
    SessionCryptoPassphrase bench-secret
  </Location>
</VirtualHost>
`,
  );
  const args = ["-f", join(folder, "apache.conf"), "-DFOREGROUND"];
  const server = await started(spawn("/usr/sbin/apache2", args, { stdio: "ignore" }), port);
  try {
    return { ...server, cookie: apacheCookie(port) };
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

function apacheCookie(port: number): string {
  const form = ["-d", "httpd_username=ana", "-d", "httpd_password=secret"];
  const { stdout } = spawnSync("curl", ["-skD-", ...form, `https://localhost:${port}/in`], {
    encoding: "utf8",
  });
  const cookie = /^set-cookie: (session=[^;\r\n]+)/im.exec(stdout)?.[1];
  if (cookie === undefined) throw new Error(`no session from Apache:\n${stdout}`);
  return cookie;
}

export async function startHaproxy(ground: Ground, port: number): Promise<Peer> {
  const folder = join(ground.folder, "haproxy");
  mkdirSync(folder, { recursive: true });
  spawnSync("sh", ["-c", `cat ${ground.certificate} ${ground.key} > ${folder}/both.pem`]);
  writeFileSync(
    join(folder, "haproxy.cfg"),
    `global
  nbthread 2
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend f
  bind 127.0.0.1:${port} ssl crt ${folder}/both.pem ssl-min-ver TLSv1.3
  default_backend o
backend o
  server o 127.0.0.1:${ground.originPort}
`,
  );
  const server = spawn("/usr/sbin/haproxy", ["-db", "-f", join(folder, "haproxy.cfg")], {
    stdio: "ignore",
  });
  return started(server, port);
}

export async function startCaddy(ground: Ground, port: number): Promise<Peer> {
  const folder = join(ground.folder, "caddy");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "Caddyfile"),
    `{
  admin off
  auto_https off
  storage file_system ${folder}/data
}
https://localhost:${port} {
  bind 127.0.0.1
  tls ${ground.certificate} ${ground.key}
  reverse_proxy 127.0.0.1:${ground.originPort}
}
`,
  );
  const args = ["run", "--config", join(folder, "Caddyfile"), "--adapter", "caddyfile"];
  const env = { PATH: process.env["PATH"], HOME: folder };
  return started(spawn("/usr/bin/caddy", args, { stdio: "ignore", env }), port);
}

function nginxFront(ground: Ground, port: number, check: string): string {
  const inner =
    check === ""
      ? ""
      : `location = /check { internal; proxy_pass http://check; proxy_http_version 1.1;
           proxy_set_header Connection ""; proxy_pass_request_body off; proxy_set_header Content-Length ""; }`;
  return `upstream o { server 127.0.0.1:${ground.originPort}; keepalive 128; keepalive_requests 1000000; }
    server { listen 127.0.0.1:${port} ssl backlog=4096 reuseport;
      ssl_certificate ${ground.certificate}; ssl_certificate_key ${ground.key};
      ssl_protocols TLSv1.3; ssl_session_cache shared:s:10m;
      location / { ${check} proxy_pass http://o; proxy_http_version 1.1; proxy_max_temp_file_size 0;
        proxy_set_header Connection ""; proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr; }
      ${inner} }`;
}

interface NginxSetUp {
  readonly name: string;
  readonly workers: number;
  /** What stands in its http block. */
  readonly body: string;
  readonly port: number;
}

async function nginx(ground: Ground, { name, workers, body, port }: NginxSetUp): Promise<Peer> {
  const folder = join(ground.folder, name);
  mkdirSync(folder, { recursive: true });
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(" ");
  writeFileSync(
    join(folder, "nginx.conf"),
    `worker_processes ${workers}; daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
     events { worker_connections 16384; }
     http { access_log off; keepalive_requests 1000000; sendfile on; tcp_nodelay on; ${temporary}
     ${body} }`,
  );
  const args = ["-c", join(folder, "nginx.conf"), "-e", join(folder, "start.log")];
  return started(spawn("/usr/sbin/nginx", args, { stdio: "ignore" }), port);
}

/** Resolves when the port answers. */
async function started(server: ChildProcess, port: number): Promise<Peer> {
  for (const deadlineMs = Date.now() + 15_000; !(await answers(port)); ) {
    if (server.exitCode !== null || Date.now() > deadlineMs) {
      throw new Error(`${server.spawnfile} does not answer on ${port}`);
    }
    await pause(50);
  }
  return {
    cookie: "",
    async [Symbol.asyncDispose]() {
      const over = once(server, "exit");
      server.kill("SIGTERM");
      await over;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

export function removeGround(ground: Ground): void {
  rmSync(ground.folder, { recursive: true, force: true });
}
