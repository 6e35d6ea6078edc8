import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { answers, doorsOf } from "../../deploy/oci/health.ts";
import { makePackage, productionPackages } from "../../tools/make-deb.ts";
import { application } from "../kit/installation.ts";

const skip = existsSync("/usr/bin/dpkg-deb") ? false : "dpkg-deb is not here";

describe("the Debian package", { skip }, () => {
  let folder: string;
  let root: string;
  let path: string;
  let listed: string[];

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "postern-package-"));
    root = join(folder, "root");
    path = makePackage(folder, "none");
    const list = execFileSync("dpkg-deb", ["-c", path], { encoding: "utf8", maxBuffer: 64 << 20 });
    listed = list.trim().split("\n");
    mkdirSync(root);
    execFileSync("dpkg-deb", ["-x", path, root]);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  const field = (name: string): string =>
    execFileSync("dpkg-deb", ["-f", path, name], { encoding: "utf8" }).trim();

  test("names itself, its needs and its size", () => {
    const { version } = JSON.parse(readFileSync(join(application, "package.json"), "utf8"));
    assert.equal(field("Package"), "postern");
    assert.equal(field("Version"), `${version}-1`);
    assert.match(field("Depends"), /libc6/);
    assert.ok(Number(field("Installed-Size")) > 50_000);
    for (const name of ["Maintainer", "Description", "Section", "Architecture"]) {
      assert.notEqual(field(name), "", name);
    }
  });

  test("holds root's files only, in modes that nobody else can write, and no test", () => {
    for (const line of listed) {
      const [mode = "", owner, , , , name = ""] = line.split(/\s+/);
      assert.equal(owner, "root/root", line);
      assert.match(mode, /^(?:drwxr-xr-x|-rw-r--r--|-rwxr-xr-x)$/, line);
      assert.match(name, /^\.\/(?:usr\/(?:bin|lib|share)\/.*|usr\/|)$/, line);
      assert.doesNotMatch(name, /postern\/(?:src|programs)\/.*\.test\.ts$/, line);
    }
    const programs = listed.filter((line) => line.startsWith("-rwx"));
    const names = new Set(programs.map((line) => line.split(/\s+/)[5]));
    assert.deepEqual(
      names,
      new Set(["./usr/bin/postern", "./usr/lib/postern/bin/node", "./usr/lib/postern/sendmail"]),
    );
  });

  test("has no TypeScript of ours below node_modules, and none of the packages that only build and test", () => {
    const packages = productionPackages(application);
    assert.ok(packages.includes("node_modules/hono"));
    for (const only of ["typescript", "vite", "playwright-core", "oxlint"]) {
      assert.ok(!packages.includes(`node_modules/${only}`), only);
      assert.ok(!existsSync(join(root, "usr/lib/postern/node_modules", only)), only);
    }
    assert.ok(existsSync(join(root, "usr/lib/postern/programs/postern.ts")));
  });

  test("runs from its unpacked tree, with nothing of the clone", () => {
    const run = (...args: string[]): string =>
      execFileSync(
        join(root, "usr/lib/postern/bin/node"),
        [join(root, "usr/lib/postern/programs/postern.ts"), ...args],
        { encoding: "utf8", cwd: "/", env: { PATH: "/usr/bin" } },
      );
    assert.equal(`${run("--version").trim()}-1`, field("Version"));
    assert.match(run("--data", "/var/lib/postern", "units", "--role", "edge"), /ExecStart=/);
    assert.match(
      readFileSync(join(root, "usr/bin/postern"), "utf8"),
      /exec \/usr\/lib\/postern\/bin/,
    );
  });

  test("brings the users of the services, and scripts that a shell reads", () => {
    const users = readFileSync(join(root, "usr/lib/sysusers.d/postern.conf"), "utf8");
    assert.equal([...users.matchAll(/^u postern-/gm)].length, 4);
    const control = join(folder, "control");
    execFileSync("dpkg-deb", ["-e", path, control]);
    for (const script of ["postinst", "prerm", "postrm"]) {
      assert.equal(statSync(join(control, script)).mode & 0o777, 0o755);
      execFileSync("sh", ["-n", join(control, script)]);
    }
    execFileSync("sh", ["-c", `cd '${root}' && md5sum --quiet -c '${control}/md5sums'`]);
  });
});

describe("the image definition", () => {
  const text = readFileSync(join(application, "deploy/oci/Containerfile"), "utf8");
  const lines = text
    .replaceAll("\\\n", " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));

  test("has two targets, neither of root, with a health check and no shell to start", () => {
    const stages = lines.filter((line) => line.startsWith("FROM "));
    assert.deepEqual(
      stages.map((line) => / AS (\w+)$/.exec(line)?.[1]),
      ["build", "base", "edge", "inside"],
    );
    const last = lines.slice(lines.findIndex((line) => line.endsWith(" AS base")));
    assert.deepEqual(
      last.filter((line) => line.startsWith("USER ")),
      ["USER 65532:65532"],
    );
    assert.ok(!last.some((line) => line.startsWith("RUN ")), "the base has no shell");
    for (const word of ["ENTRYPOINT", "CMD", "HEALTHCHECK"]) {
      const found = last.filter((line) => line.startsWith(`${word} `));
      assert.ok(found.length > 0, word);
      for (const line of found) assert.match(line, /\["[^\]]*"\]$/, line);
    }
  });

  test("copies what is there, adds nothing from elsewhere, and keeps the tests out", () => {
    assert.ok(!lines.some((line) => line.startsWith("ADD ")));
    for (const line of lines) {
      if (!line.startsWith("COPY ") || line.includes("--from=")) continue;
      const sources = line
        .split(" ")
        .slice(1, -1)
        .filter((one) => !one.startsWith("--"));
      for (const source of sources) assert.ok(existsSync(join(application, source)), source);
    }
    assert.match(text, /find src programs -name '\*\.test\.ts' -delete/);
  });

  test("its health check knows an open door from a closed one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "postern-health-"));
    try {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      const facts = {
        smtp: { host: "127.0.0.1", port },
        https: { url: `https://127.0.0.1:${port}` },
      };
      writeFileSync(join(folder, "ready.json"), JSON.stringify(facts));
      const doors = doorsOf(folder);
      assert.deepEqual(doors, [facts.smtp, facts.smtp]);
      assert.deepEqual(await Promise.all(doors.map(answers)), [true, true]);
      await new Promise((done) => server.close(done));
      assert.deepEqual(await Promise.all(doors.map(answers)), [false, false]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
