import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "smol-toml";
import { faultOf, type ParameterTable } from "#base/parameters";
import { configSchema, describeConfig, nonDefaults } from "./describe.ts";
import { checkConfig, complete } from "./read.ts";
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
  ] as const;
  for (const [text, expected] of wrong) {
    test(`says where and what is wrong in ${JSON.stringify(text)}`, () => {
      assert.throws(() => checkConfig(text, "f"), { name: "Misconfigured", message: expected });
    });
  }

  test("gives every parameter its default unless the file sets it", () => {
    const config = complete(checkConfig('[link]\nspool = "sealed"\n', "f"));
    assert.equal(config.link.spool, "sealed");
    assert.equal(config.link.spoolMib, tables.link.spoolMib.default);
    assert.deepEqual(
      nonDefaults(config).map(({ key }) => key),
      ["link.spool"],
    );
  });

  test("every default obeys its own bounds, and every parameter has a sentence", () => {
    for (const [name, table] of Object.entries(tables)) {
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
    assert.deepEqual(Object.keys(schema.properties), Object.keys(tables));
    assert.equal(schema.additionalProperties, false);
  });
});
