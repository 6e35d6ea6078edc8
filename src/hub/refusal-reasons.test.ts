import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TraceStep } from "#model/trace";
import { refusalReasons } from "./refusal-reasons.ts";

const step = (program: TraceStep["program"], text: string): TraceStep => ({
  atMs: 1,
  program,
  step: "checked",
  text,
});
const edgeSteps = [step("edge-smtp", "handed to the inside"), step("hub", "550 refused")];

describe("refusalReasons()", () => {
  test("puts the steps of the inside before the answer that the edge tells, once", () => {
    const reasons = refusalReasons();
    const why = step("hub", "milter m: infected");
    reasons.keep("a", [step("edge-smtp", "spf=pass"), why]);
    const whole = reasons.completed("a", edgeSteps);
    assert.deepEqual(whole, [edgeSteps[0], why, edgeSteps[1]]);
    assert.deepEqual(reasons.completed("a", edgeSteps), edgeSteps);
    assert.deepEqual(reasons.completed("unknown", []), []);
  });

  test("keeps no more than a thousand, the newest", () => {
    const reasons = refusalReasons();
    for (let nth = 0; nth <= 1000; nth += 1) reasons.keep(String(nth), [step("hub", "why")]);
    assert.equal(reasons.completed("0", edgeSteps).length, 2);
    assert.equal(reasons.completed("1", edgeSteps).length, 3);
    assert.equal(reasons.completed("1000", edgeSteps).length, 3);
  });
});
