import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  hostRules,
  layoutText,
  makePlan,
  type Plan,
  readTopology,
  swanctlText,
  wireguardFiles,
  zoneRules,
} from "#assurance/planner";
import { Misconfigured } from "#base/errors";
import { manifests } from "./fixture.ts";

const keys = `publicKeys = ["${"A".repeat(43)}=", "${"B".repeat(43)}="]`;

function planWith(more: string): Plan {
  return makePlan(readTopology(`${layoutText("postern")}\n${more}`, "plan.toml"), manifests);
}

const compareText = (one: string, other: string): number => one.localeCompare(other);

/** What may pass, without its notes. */
function accepted(rules: string, chain: string): readonly string[] {
  const body = rules.split(`chain ${chain} {`)[1]?.split("\n  }")[0] ?? "";
  return body
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.endsWith("counter accept"));
}

describe("hostRules() and zoneRules()", () => {
  test("each chain drops what no flow names, in and out and passing on", () => {
    const plan = planWith("");
    for (const { name } of plan.topology.hosts) {
      const rules = hostRules(plan, name);
      for (const hook of ["input", "output", "forward"]) {
        assert.ok(rules.includes(`type filter hook ${hook} priority filter; policy drop;`));
      }
    }
  });

  test("CAP-12 the firewall between the zones has no rule from the DMZ to the inside", () => {
    const rules = accepted(zoneRules(planWith("")), "forward");
    assert.ok(rules.length > 0);
    for (const rule of rules) {
      assert.ok(!/saddr \{ (?:192\.0\.2|2001:db8:2:).*daddr \{ (?:10\.|fd)/.test(rule), rule);
    }
  });

  test("the hub starts the two links and nothing else", () => {
    assert.deepEqual(accepted(hostRules(planWith(""), "hub"), "output"), [
      "ip saddr { 10.20.0.10 } ip daddr { 192.0.2.10 } tcp dport 2526 ct state new counter accept",
      "ip6 saddr { fd20::10 } ip6 daddr { 2001:db8:2::10 } tcp dport 2526 ct state new counter accept",
      "ip saddr { 10.20.0.10 } ip daddr { 192.0.2.10 } tcp dport 2527 ct state new counter accept",
      "ip6 saddr { fd20::10 } ip6 daddr { 2001:db8:2::10 } tcp dport 2527 ct state new counter accept",
    ]);
  });

  test("CAP-13 a provider's ranges stand in the rule for port 25, others are counted apart", () => {
    const rules = hostRules(planWith('[provider]\nranges = ["203.0.113.0/24"]'), "edge");
    const smtp = accepted(rules, "input").filter((rule) => rule.includes("dport 25 "));
    assert.deepEqual(smtp, [
      "ip saddr { 203.0.113.0/24 } ip daddr { 192.0.2.10 } tcp dport 25 ct state new counter accept",
    ]);
    assert.ok(rules.includes('tcp dport 25 counter drop comment "not from the provider"'));
  });

  test("every rule that accepts a flow has its reason above it", () => {
    const lines = zoneRules(planWith(""))
      .split("\n")
      .map((line) => line.trim());
    for (const [index, line] of lines.entries()) {
      if (!line.endsWith("counter accept")) continue;
      const before = lines.slice(0, index).findLast((one) => !one.endsWith("counter accept"));
      assert.match(before ?? "", /^# why: .+; without it: .+/);
    }
  });
});

describe("tunnels", () => {
  const ipsec = '[link.lan]\nbetween = ["lan", "hub"]\nby = "ipsec"\n';

  test("CAP-14 LAN client to server: flows pass decrypted only, the router sees IKE and ESP", () => {
    const plan = planWith(ipsec);
    const input = accepted(hostRules(plan, "hub"), "input");
    const mail = input.filter((rule) => /dport (?:993|465) /.test(rule));
    assert.ok(mail.length === 4 && mail.every((rule) => rule.startsWith("meta ipsec exists ")));
    const through = accepted(zoneRules(plan), "forward").filter((rule) =>
      rule.includes("10.20.0.10"),
    );
    const ports = through.map((rule) => /(?:dport|l4proto) (\w+)/.exec(rule)?.[1] ?? "");
    assert.deepEqual(ports.toSorted(compareText), [
      "22",
      "2526",
      "2527",
      "4500",
      "500",
      "esp",
      "esp",
    ]);
  });

  test("CAP-10 each selector is one host or network, one protocol and one port", () => {
    const text = swanctlText(planWith(ipsec), "hub") ?? "";
    const selectors = [...text.matchAll(/(local|remote)_ts = (.+)/g)].map(([, , all]) => all ?? "");
    assert.equal(selectors.length, 4);
    for (const one of selectors.flatMap((all) => all.split(", "))) {
      assert.match(
        one,
        /^(?:10\.20\.0\.10\/32|fd20::10\/128)\[tcp\/\d+\]$|^(?:10\.30|fd30)\S+\[tcp\]$/,
      );
    }
    assert.ok(!/0\.0\.0\.0|::\/0|%any/.test(text));
  });

  test("CAP-9 IKEv2 and AES-GCM with a key exchange for each child, ML-KEM where it is wished", () => {
    const plain = swanctlText(planWith(ipsec), "hub") ?? "";
    assert.match(plain, /version = 2\n/);
    assert.match(plain, / proposals = aes256gcm16-prfsha384-x25519\n/);
    assert.match(plain, /esp_proposals = aes256gcm16-x25519\n/);
    const hybrid = swanctlText(planWith(`${ipsec}hybrid = true`), "hub") ?? "";
    assert.match(hybrid, /esp_proposals = aes256gcm16-x25519-ke1_mlkem768\n/);
    assert.ok(!/\bah_proposals|\bsha1\b|md5|3des/.test(plain + hybrid));
  });

  test("CAP-9 AH is in no rule, even when the plan asks for it", () => {
    const plan = planWith(`${ipsec}ah = true`);
    for (const text of [hostRules(plan, "hub"), zoneRules(plan)])
      assert.ok(!/l4proto ah/.test(text));
  });

  test("CAP-10 a link that lets anything pass gets no rules", () => {
    const any = planWith(`${ipsec}selectors = "any"`);
    assert.throws(() => swanctlText(any, "hub"), Misconfigured);
    const tunnel = `[link.a]\nbetween = ["hub", "edge"]\nby = "wireguard"\nselectors = "any"\ntunnel = ["10.99.0.1", "10.99.0.2"]\n${keys}`;
    assert.throws(() => wireguardFiles(planWith(tunnel), "hub"), Misconfigured);
  });

  test("CAP-14 server to server: WireGuard lets one address through, nftables the two ports", () => {
    const plan = planWith(
      `[link.servers]\nbetween = ["hub", "edge"]\nby = "wireguard"\ntunnel = ["10.99.0.1", "10.99.0.2"]\n${keys}`,
    );
    const [file] = wireguardFiles(plan, "hub");
    assert.match(
      file?.text ?? "",
      /\nAllowedIPs = 10\.99\.0\.2\/32\nEndpoint = 192\.0\.2\.10:51820\n$/,
    );
    assert.ok(!/Endpoint/.test(wireguardFiles(plan, "edge")[0]?.text ?? ""));
    const inside = accepted(hostRules(plan, "edge"), "input").filter((rule) =>
      rule.includes("wg-"),
    );
    assert.deepEqual(inside, [
      'iifname "wg-servers" ip saddr 10.99.0.1 ip daddr 10.99.0.2 tcp dport 2526 ct state new counter accept',
      'iifname "wg-servers" ip saddr 10.99.0.1 ip daddr 10.99.0.2 tcp dport 2527 ct state new counter accept',
    ]);
  });

  test("CAP-14 directory to mail server, and a VLAN: only on that interface", () => {
    const plan = planWith(
      '[host.ldap]\nzone = "inside"\naddresses = ["10.20.0.30"]\nroles = ["directory-server"]\n' +
        '[link.people]\nbetween = ["hub", "ldap"]\nby = "vlan"\nvlan = 20',
    );
    const [rule, ...more] = accepted(hostRules(plan, "ldap"), "input");
    assert.deepEqual(more, []);
    assert.match(rule ?? "", /^iifname "vlan20" ip saddr \{ 10\.20\.0\.10 \} .* tcp dport 636 /);
  });
});
