/** `postern plan verify`: the plan tried from this machine; exit code 2 where it does not hold. */

import { connect } from "node:net";
import type { Command } from "commander";
import {
  type Plan,
  type Probe,
  type ProbeAnswer,
  type ProbeResult,
  serviceText,
  type Verification,
  vantageOf,
  verifyPlan,
} from "#assurance/planner";
import { ExitError, exitCodes } from "../exit.ts";
import { textTable } from "../table.ts";
import { localAddresses } from "./plan-topology.ts";
import { output, untilInterrupted } from "./shared.ts";

/** A connection inside one organisation takes milliseconds; what drops packets never answers. */
const waitMs = 1500;
const parallel = 256;
const portsMaxCount = 65_535;

export async function verifyHere(plan: Plan, command: Command): Promise<void> {
  const { from: zone, allPorts } = command.opts<{ from?: string; allPorts?: boolean }>();
  const local = localAddresses();
  const from = vantageOf(plan, local, zone);
  if (from === undefined) {
    const zones = plan.topology.zones.map(({ name }) => name).join(", ");
    throw new ExitError(exitCodes.usage, `where does this machine stand? --from ZONE: ${zones}`);
  }
  const every = Array.from(
    { length: allPorts === true ? portsMaxCount : 0 },
    (_, index) => index + 1,
  );
  const signal = untilInterrupted();
  const done = await verifyPlan(plan, from, probe, { ports: every, local, parallel, signal });
  output(command, jsonOf(done), () => textOf(done));
  if (done.findings.length > 0) process.exitCode = exitCodes.findings;
}

const probe: Probe = (host, port) =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: ProbeAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    // On a busy machine the answer may lie there already: it is looked at once more.
    socket.setTimeout(waitMs, () => setTimeout(() => end("silent"), 1));
    socket.once("connect", () => end("open"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) =>
      end(code === "ECONNREFUSED" ? "refused" : "silent"),
    );
  });

function jsonOf({ notProbed, ...done }: Verification): unknown {
  return {
    ...done,
    notProbed: notProbed.map((flow) => `${flow.to.name} ${serviceText(flow)}`),
    holds: done.findings.length === 0,
  };
}

function textOf({ from, probed, open, findings, notProbed }: Verification): string {
  const place =
    from.host === undefined ? `zone ${from.zone}` : `host ${from.host}, zone ${from.zone}`;
  const row = ({ host, address, port, answer, expected }: ProbeResult): string[] => [
    `  ${host}`,
    address,
    `${port}/tcp`,
    answer === "open" ? "open, should be closed" : `should be ${expected}: ${answer}`,
  ];
  const rest = notProbed.map((flow) => `${flow.to.name} ${serviceText(flow)}`).join(", ");
  return [
    `From ${place}: ${probed} TCP ports tried, ${open.length} open as planned`,
    ...open.map(({ host, address, port }) => `  ${host}  ${address}  ${port}/tcp`),
    ...(rest === "" ? [] : [`Not tried (no TCP, no one address, or inside a tunnel): ${rest}`]),
    findings.length === 0 ? "The plan holds here." : "The plan does not hold here:",
    ...(findings.length === 0 ? [] : [textTable(findings.map(row))]),
  ].join("\n");
}
