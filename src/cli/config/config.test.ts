import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse } from "smol-toml";
import { Misconfigured } from "#base/errors";
import { faultOf, type ParameterTable } from "#base/parameters";
import { checkTogether } from "../up/prepare.ts";
import { configSchema, describeConfig, nonDefaults } from "./describe.ts";
import { configTables, families } from "./families.ts";
import { checkConfig, complete, inFile, readConfig } from "./read.ts";
import { tables } from "./tables.ts";

describe("postern.toml", () => {
  const wrong = [
    ["[smpt]\n", /^f:1:2: \[smpt\] is not known; did you mean "smtp"\?$/],
    ['[site]\n\n  hostnam = "a"\n', /^f:3:3: hostnam is not known; did you mean "hostname"\?$/],
    ["[dns]\ntimeoutMs = 5\n", /^f:2:1: timeoutMs must be at least 50$/],
    ['[dns]\ntimeoutMs = "5"\n', /^f:2:1: timeoutMs must be a number$/],
    ['[link]\nspool = "maybe"\n', /^f:2:1: spool must be one of: reject, sealed$/],
    ["[dns]\nservers = [1]\n", /^f:2:1: servers must be a list of strings$/],
    ['[link]\nspool = "sealed"\nspool = "reject"\n', /^f:3:/],
    ["site = 1\n", /^f:1:1: site is a section/],
    ["[site\n", /^f:1:/],
    ["[__proto__]\n", /not known/],
    ["[publsh.a]\n", /^f:1:2: \[publsh\] is not known; did you mean "publish"\?$/],
    ["publish = 1\n", /^f:1:1: write \[publish\.NAME\]$/],
    ["[publish]\nroundcube = 1\n", /^f:2:1: roundcube has no table: write \[publish\.NAME\]$/],
    [
      '\n[publish.mail]\nupsteam = "x"\n',
      /^f:3:1: upsteam is not known; did you mean "upstream"\?$/,
    ],
    ["[publish.mail]\nwebSocket = 1\n", /^f:2:1: webSocket must be a boolean$/],
    ['[publish.mail]\nupstream = "x"\n', /^f:2:1: upstream must be https:/],
    ['[publish.mail]\npath = "/x"\n', /^f:1:1: upstream must be https:/],
    [
      '[publish.a]\nupstream = "https://a.example"\n[publish."b"]\nupstream = "https://b.example"\nruleSets = ["sgo"]\n',
      /^f:5:1: ruleSets holds "sgo", which is not known; did you mean "sogo"\?$/,
    ],
    ['[publish.Big]\nupstream = "https://a.example"\n', /^f:1:2: publish\.Big: a name is small/],
    ["[publish.__proto__]\n", /__proto__/],
    ['[outbound.a]\nspace = ["*"]\n', /^f:2:1: space is not known; did you mean "spaces"\?$/],
    ['[outbound.a]\nspaces = ["*"]\ntls = "none"\n', /^f:3:1: tls none needs via = "inside"/],
    ["[outbound.a]\ncost = 1\n", /^f:1:1: spaces is empty/],
    ['[inbound.b]\nnetworks = ["x"]\n', /^f:2:1: networks holds "x", which is not a network/],
    [
      '[inbound.b]\nnetworks = ["10.0.0.5/24"]\n',
      /^f:2:1: networks holds "10\.0\.0\.5\/24", which names a host and a network: write 10\.0\.0\.5 or 10\.0\.0\.0\/24$/,
    ],
    [
      '[inbound.b]\nnetworks = ["2001:db8::/16"]\n',
      /^f:2:1: networks holds .* write 2001:db8:: or 2001::\/16$/,
    ],
    ["[inbound.b]\ntlsMinVersion = 1.3\n", /^f:2:1: tlsMinVersion must be a string: write "1\.3"$/],
    ["[link]\nspool = true\n", /^f:2:1: spool must be a string: write "true"$/],
    [
      '[smtp]\n\n[outbound."My Partner"]\nspaces = ["*"]\n',
      /^f:3:1: outbound\.My Partner: a name is small letters, digits and "-"$/,
    ],
    ['[outbound."My Partner"]\nspace = ["*"]\n', /^f:2:1: space is not known/],
    ["[inbound.b]\n", /^f:1:1: networks is empty, as are certificates and user/],
  ] as const;
  for (const [text, expected] of wrong) {
    test(`says where and what is wrong in ${JSON.stringify(text)}`, () => {
      assert.throws(() => checkConfig(text, "f"), { name: "Misconfigured", message: expected });
    });
  }

  test("takes every table of docs/connectors.md", () => {
    const text = readFileSync(join(import.meta.dirname, "../../../docs/connectors.md"), "utf8");
    const blocks = [...text.matchAll(/```toml\n(.*?)```/gs)].map(([, block = ""]) => block);
    assert.ok(blocks.length >= 6);
    for (const block of blocks) checkConfig(block, "docs/connectors.md");
  });

  test("says where two keys do not go together, as the programs would at their start", () => {
    const data = mkdtempSync(join(tmpdir(), "postern-config-"));
    const site = '[site]\ndomain = "example.org"\n';
    const cases = [
      ['[clients]\nimaps = "993"\n', /f:4:1: clients\.imaps: "993" is not HOST:PORT/],
      ['[web]\nhosts = ["https://a"]\n', /f:4:1: web\.hosts holds "https:\/\/a", which is not/],
      [
        '[balancer]\nmail = ["10.0.0.1/8"]\n',
        /f:4:1: balancer\.mail: "10\.0\.0\.1\/8" names a host and a network: write 10\.0\.0\.1 or 10\.0\.0\.0\/8$/,
      ],
      [
        '[identity]\nownRelays = ["192.0.2.9/25"]\n',
        /f:4:1: identity\.ownRelays: .* 192\.0\.2\.0\/25$/,
      ],
      ['[abuse]\nallow = ["192.0.2.9/31"]\n', /f:4:1: abuse\.allow: .* 192\.0\.2\.8\/31$/],
      [
        '[abuse]\nonlyFrom = "ownRelays"\n',
        /f:4:1: abuse\.onlyFrom: identity\.ownRelays names no host .*: write the networks of your provider/,
      ],
      [
        "[queue]\nfirstRetryS = 7200\n",
        /f:4:1: queue\.firstRetryS: 7200 s is more than the longest wait: set queue\.maxRetryS/,
      ],
      [
        "[queue]\nmaxRetryS = 60\n",
        /f:4:1: queue\.maxRetryS: 60 s is less than the first wait: set queue\.firstRetryS/,
      ],
      [
        '[inbound.a]\nnetworks = ["10.0.0.5"]\ndoor = "relay"\n',
        /f:5:1: inbound\.a\.door "relay" is not open: write listen\.relay = "HOST:PORT", or take \[inbound\.a\] out$/,
      ],
      [
        '[listen]\nlmtp = "/run/lmtp"\n[inbound.a]\nnetworks = ["10.0.0.5"]\ndoor = "lmtp"\n',
        /f:7:1: inbound\.a\.door "lmtp" is not open: write listen\.lmtp = "HOST:PORT"/,
      ],
      [
        '[gateway.a]\ndomains = ["example.org"]\nrecipients = "any"\n[outbound.a]\nspaces = ["example.org"]\nhosts = ["192.88.99.1"]\n',
        /f:4:1: gateway\.a\.domains .* via = "inside"/,
      ],
      ['[balancer]\nweb = ["10.0.0.0/99"]\n', /f:4:1: balancer\.web: "10\.0\.0\.0\/99" is not a/],
      ['[acme]\ndirectory = "http://a"\n', /f:4:1: acme\.directory: "http:\/\/a" must begin/],
      ['[acme]\ncontact = ["a@b"]\n', /f:4:1: acme\.contact: "a@b" must be mailto:/],
      ['hostname = "a b"\n', /f:3:1: site\.hostname: "a b" is not a host name/],
      [
        '[publish.a]\nupstream = "https://a.example"\nhosts = ["b.example"]\n',
        /f:5:1: publish\.a\.hosts holds "b\.example", which is not in web\.hosts/,
      ],
      ['[milters]\nsockets = ["inet:8891"]\n', /f:4:1: milters\.sockets: "inet:8891" is neither/],
      [
        '[spamFilter]\nfilter = "rspamd"\naddress = "here"\n',
        /f:5:1: spamFilter\.address: "here" is neither/,
      ],
      ['[egress]\nports = ["25", "smtp"]\n', /f:4:1: egress\.ports: "smtp" is not a port/],
      [
        "[abuse]\ngreylistDelayS = 3600\ngreylistWindowH = 1\n",
        /f:4:1: abuse\.greylistDelayS: no mail would pass/,
      ],
      [
        '[outbound.one]\nspaces = ["*"]\n[outbound.two]\nspaces = ["*"]\n',
        /f:6:1: outbound\.two\.spaces holds \* at cost 0, as \[outbound\.one\] does/,
      ],
      [
        '[outbound.a]\nspaces = ["*"]\nhosts = ["192.88.99.1:2525"]\n',
        /f:5:1: outbound\.a\.hosts leads to .* port 2525: add the port to egress\.ports/,
      ],
      [
        '[outbound.a]\nspaces = ["*"]\nhosts = ["127.0.0.1"]\n',
        /f:5:1: outbound\.a\.hosts leads to 127\.0\.0\.1, port 25: a private address needs/,
      ],
    ] as const;
    try {
      const path = join(data, "f");
      for (const [text, expected] of cases) {
        writeFileSync(path, site + text);
        assert.throws(
          () => {
            try {
              checkTogether(data, readConfig(path));
            } catch (error) {
              throw error instanceof Misconfigured ? inFile(path, error) : error;
            }
          },
          { name: "Misconfigured", message: expected },
        );
      }
      checkTogether(data, checkConfig(site, "f"));
      checkTogether(data, {});
      assert.deepEqual(readdirSync(data), ["f"], "nothing was made");
    } finally {
      rmSync(data, { recursive: true });
    }
  });

  test("gives every parameter its default unless the file sets it", () => {
    const config = complete(checkConfig('[link]\nspool = "sealed"\n', "f"));
    assert.equal(config.link.spool, "sealed");
    assert.equal(config.link.spoolMib, tables.link.spoolMib.default);
    assert.deepEqual(
      nonDefaults(config).map(({ key }) => key),
      ["link.spool"],
    );
  });

  test("keeps each table of a family under its name, with every key", () => {
    const text = '[publish.mail]\nupstream = "https://in.example"\nruleSets = ["roundcube"]\n';
    const config = complete(checkConfig(text, "f"));
    assert.equal(config.publish["mail"]?.upstream, "https://in.example");
    assert.equal(config.publish["mail"]?.webSocket, false);
    assert.deepEqual(
      nonDefaults(config).map(({ key }) => key),
      ["publish.mail.ruleSets", "publish.mail.upstream"],
    );
    assert.deepEqual(complete({}).publish, {});
  });

  test("every default obeys its own bounds, and every parameter has a sentence", () => {
    for (const [name, table] of Object.entries(configTables)) {
      for (const [key, parameter] of Object.entries(table as ParameterTable)) {
        assert.equal(faultOf(parameter, parameter.default), undefined, `${name}.${key}`);
        assert.match(parameter.doc, /\.$/, `${name}.${key}`);
      }
    }
  });

  test("the described file, uncommented, is a good file that changes nothing", () => {
    const text = describeConfig().replace(/^# (\w+ = )/gm, "$1");
    assert.deepEqual(nonDefaults(complete(checkConfig(text, "f"))), []);
    assert.equal(Object.keys(parse(text)).length, Object.keys(tables).length);
  });

  test("the schema names every section and forbids others", () => {
    const schema = configSchema() as { properties: object; additionalProperties: boolean };
    const names = [...Object.keys(tables), ...Object.keys(families)];
    assert.deepEqual(Object.keys(schema.properties), names);
    assert.equal(schema.additionalProperties, false);
  });
});

test("CAP-21 every table in docs/publishing.md is a good configuration", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../docs/publishing.md"), "utf8");
  const examples = [...page.matchAll(/```toml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
  assert.ok(examples.length >= 4);
  for (const text of examples) {
    const { publish } = complete(checkConfig(text, "docs/publishing.md"));
    assert.equal(Object.keys(publish).length, 1);
  }
});
