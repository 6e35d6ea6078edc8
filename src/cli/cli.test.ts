import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { json } from "node:stream/consumers";
import { after, describe, test } from "node:test";
import { socketLock } from "#store";

const program = join(dirname(dirname(import.meta.dirname)), "programs/postern.ts");
const base = mkdtempSync(join(tmpdir(), "postern-cli-"));
after(() => rmSync(base, { recursive: true }));

interface Outcome {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that hangs is killed and has no exit code. */
function postern(...args: string[]): Promise<Outcome> {
  const options = { timeout: 30_000, killSignal: "SIGKILL" } as const;
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? "hung"), stdout, stderr }),
    );
  });
}

describe("postern on what is not there", () => {
  const file = join(base, "a-file");
  writeFileSync(file, "");
  const lists = join(base, "lists.toml");
  writeFileSync(
    lists,
    '[outbound.a]\nspaces = ["a.example"]\nvia = "inside"\nhosts = ["10.0.0.5"]\n' +
      '[gateway.a]\ndomains = ["a.example"]\nrecipients = "list"\nlistFile = "/no/people"\n',
  );
  const wrong = [
    ["a mistyped noun", ["acount", "list"], 64, /Did you mean account\?/],
    ["a missing argument", ["dns", "show"], 64, /missing required argument/],
    ["a count that is none", ["trace", "find", "--limit", "x"], 64, /--limit "x"/],
    ["a period that is none", ["trace", "find", "--since", "3"], 64, /not a period/],
    ["no installation", ["--data", join(base, "no"), "status"], 66, /no installation here/],
    ["no store", ["--data", join(base, "no"), "store", "verify"], 66, /no store here/],
    ["a configuration that is missing", ["up", "--config", join(base, "no.toml")], 78, /no\.toml/],
    ["a list that is missing", ["config", "test", lists], 78, /:8:1: .*\/no\/people.*put it there/],
    ["a folder that is a file", ["up", "--data", file], 66, /not a folder/],
    // Node's recursive mkdir never returns from here.
    ["a folder that cannot be", ["up", "--data", "/proc/postern"], 66, /cannot be made/],
  ] as const;
  for (const [what, args, code, expected] of wrong) {
    test(`${what}: exit code ${code}, a sentence, nothing on standard output`, async () => {
      const outcome = await postern(...args);
      assert.equal(outcome.code, code, outcome.stderr);
      assert.match(outcome.stderr, expected);
      assert.equal(outcome.stdout, "");
    });
  }

  test("sendmail -bp names what sendmail has: POSTERN_DATA, and no option of other commands", async () => {
    const no = join(base, "no");
    for (const before of [
      ["--data", no],
      [`--data=${no}`, "--json"],
    ]) {
      const { code, stderr } = await postern(...before, "sendmail", "-bp");
      assert.equal(code, 66, stderr);
      assert.equal(
        stderr,
        `sendmail: ${no}: there is no installation: POSTERN_DATA names its folder\n`,
      );
    }
    assert.match((await postern("--data", no, "sendmail", "-v", "-q")).stderr, /^$/);
    assert.match(
      (await postern("--data", no, "sendmail", "-y")).stderr,
      /^sendmail: unknown option -y/,
    );
  });

  test("config describe --json is JSON", async () => {
    const { stdout } = await postern("config", "describe", "--json");
    assert.equal((JSON.parse(stdout) as { title: string }).title, "postern.toml");
  });
});

describe("postern beside a running system", () => {
  test("store rebuild leaves the index alone that a hub has open", async () => {
    const data = join(base, "running");
    const store = join(data, "hub/store");
    mkdirSync(store, { recursive: true });
    writeFileSync(join(store, "index.sqlite"), "in use");
    await using _hub = await socketLock(store);
    const { code, stderr } = await postern("--data", data, "store", "rebuild");
    assert.equal(code, 75);
    assert.match(stderr, /stop Postern first/);
  });

  test("answers become exit codes, whatever form they have", async () => {
    const data = join(base, "answers");
    mkdirSync(join(data, "hub"), { recursive: true });
    writeFileSync(join(data, "hub/admin.secret"), "secret");
    const server = createServer((request, response) => {
      const status = Number(/\/trace\/(\d+)/.exec(request.url ?? "")?.[1]);
      response.writeHead(status).end("not JSON at all");
    }).listen(join(data, "hub/admin.sock"));
    await once(server, "listening");
    try {
      const codes = [];
      for (const status of ["400", "403", "404", "409", "503"]) {
        codes.push((await postern("--data", data, "trace", "show", status)).code);
      }
      assert.deepEqual(codes, [64, 77, 66, 1, 75]);
    } finally {
      server.close();
    }
  });

  test("reports import goes on after a file that cannot be read, and names it at the end", async () => {
    const data = join(base, "import");
    mkdirSync(join(data, "hub"), { recursive: true });
    writeFileSync(join(data, "hub/admin.secret"), "secret");
    const [missing, large, good] = ["no.eml", "large", "good.xml"].map((name) => join(data, name));
    writeFileSync(large ?? "", "large");
    writeFileSync(good ?? "", "good");
    const server = createServer((request, response) => {
      void json(request).then((body) => {
        const { octets } = body as { octets: string };
        const isLarge = Buffer.from(octets, "base64").toString() === "large";
        const taken = { kept: 1, known: 0, faults: [] };
        response.writeHead(isLarge ? 400 : 200);
        response.end(JSON.stringify(isLarge ? { error: "it is too long" } : taken));
      });
    }).listen(join(data, "hub/admin.sock"));
    await once(server, "listening");
    try {
      const files = [missing ?? "", large ?? "", good ?? ""];
      const { code, stdout } = await postern("--data", data, "reports", "import", ...files);
      assert.equal(code, 2);
      assert.deepEqual(stdout.split("\n"), [
        `${good}: 1 taken in`,
        `${missing}: 0 taken in, cannot be read: ENOENT`,
        `${large}: 0 taken in, cannot be read: it is too long`,
        "",
      ]);
    } finally {
      server.close();
    }
  });
});
