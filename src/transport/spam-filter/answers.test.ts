import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { maxAnswerBytes, parseRspamdAnswer, parseSpamdAnswer } from "./answers.ts";

const http = (body: string, more = ""): Buffer =>
  Buffer.from(
    `HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`,
  );
const rspamd = (answer: object): Buffer => http(JSON.stringify(answer));
const spamd = (spam: string, names = ""): Buffer =>
  Buffer.from(
    `SPAMD/1.1 0 EX_OK\r\nContent-length: ${names.length}\r\nSpam: ${spam}\r\n\r\n${names}`,
  );

describe("parseRspamdAnswer()", () => {
  test("gives score, threshold, action and symbols", () => {
    const answer = {
      is_skipped: false,
      score: -1.5,
      required_score: 15,
      action: "no action",
      symbols: { MIME_GOOD: { name: "MIME_GOOD", score: -0.1 }, R_X: { score: 0, options: ["a"] } },
    };
    assert.deepEqual(parseRspamdAnswer(rspamd(answer)), {
      ok: true,
      value: {
        score: -1.5,
        required: 15,
        action: "no action",
        symbols: [
          { name: "MIME_GOOD", score: -0.1 },
          { name: "R_X", score: 0 },
        ],
      },
    });
  });

  test("needs no more than the two numbers", () => {
    const read = parseRspamdAnswer(rspamd({ score: 1, required_score: 2 }));
    assert.deepEqual(read, { ok: true, value: { score: 1, required: 2, symbols: [] } });
  });

  test("keeps the first 500 symbols", () => {
    const symbols = Object.fromEntries(
      Array.from({ length: 2000 }, (_, n) => [`S${n}`, { score: 1 }]),
    );
    const read = parseRspamdAnswer(rspamd({ score: 1, required_score: 2, symbols }));
    assert.equal(read.ok && read.value.symbols.length, 500);
  });

  const refused: readonly (readonly [what: string, answer: Buffer, fault: string])[] = [
    ["nothing", Buffer.alloc(0), "no-answer"],
    ["too much", http("x".repeat(maxAnswerBytes)), "answer-too-long"],
    ["other status", Buffer.from("HTTP/1.1 403 Unauthorized\r\n\r\n"), "refused"],
    ["other status, no blank line", Buffer.from("HTTP/1.0 500"), "refused"],
    ["other protocol", Buffer.from("HTTP/2 200 OK\r\n\r\n"), "bad-head"],
    ["another filter's answer", spamd("True ; 1 / 5"), "bad-head"],
    ["a banner", Buffer.from("220 mx.example.org ESMTP\r\n"), "bad-head"],
    ["no blank line", Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), "bad-head"],
    ["endless head", Buffer.from(`HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(50_000)}`), "bad-head"],
    ["field without a colon", http("{}", "oops\r\n"), "bad-head"],
    ["no length", Buffer.from("HTTP/1.1 200 OK\r\n\r\n{}"), "bad-head"],
    ["two lengths", http("{}", "Content-Length: 2\r\n"), "bad-head"],
    ["negative length", Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}"), "bad-head"],
    ["chunked", http("{}", "Transfer-Encoding: chunked\r\n"), "bad-head"],
    ["cut short", rspamd({ score: 1, required_score: 2 }).subarray(0, -1), "wrong-length"],
    ["longer than said", Buffer.concat([http("{}"), Buffer.from("{}")]), "wrong-length"],
    ["no JSON", http("<html>"), "bad-body"],
    ["NaN", http('{"score":NaN,"required_score":15}'), "bad-body"],
    ["null, as NaN is often written", rspamd({ score: null, required_score: 15 }), "bad-body"],
    ["infinite", http('{"score":1e999,"required_score":15}'), "bad-body"],
    ["absurd score", rspamd({ score: 1e9, required_score: 15 }), "bad-body"],
    ["score as text", rspamd({ score: "1", required_score: 15 }), "bad-body"],
    ["no threshold", rspamd({ score: 1 }), "bad-body"],
    ["threshold 0", rspamd({ score: 1, required_score: 0 }), "bad-body"],
    ["negative threshold", rspamd({ score: 1, required_score: -5 }), "bad-body"],
    ["action no text", rspamd({ score: 1, required_score: 2, action: 7 }), "bad-body"],
    ["line end in action", rspamd({ score: 1, required_score: 2, action: "a\r\nb" }), "bad-body"],
    ["symbols a list", rspamd({ score: 1, required_score: 2, symbols: [] }), "bad-body"],
    ["symbol no object", rspamd({ score: 1, required_score: 2, symbols: { A: 1 } }), "bad-body"],
    ["symbol NaN", rspamd({ score: 1, required_score: 2, symbols: { A: {} } }), "bad-body"],
    [
      "symbol of two words",
      rspamd({ score: 1, required_score: 2, symbols: { "A B": { score: 1 } } }),
      "bad-body",
    ],
    ["a list", http("[]"), "bad-body"],
    ["null", http("null"), "bad-body"],
    ["deep", http("[".repeat(1_000_000)), "bad-body"],
    ["deep and closed", http(`${"[".repeat(500_000)}${"]".repeat(500_000)}`), "bad-body"],
  ];
  for (const [what, answer, fault] of refused) {
    test(`refuses: ${what}`, () => {
      const read = parseRspamdAnswer(answer);
      assert.equal(read.ok ? "accepted" : read.fault, fault);
    });
  }
});

describe("parseSpamdAnswer()", () => {
  test("gives score, threshold and the names of rules", () => {
    assert.deepEqual(parseSpamdAnswer(spamd("True ; 1000.0 / 5.0", "GTUBE,NO_RELAYS")), {
      ok: true,
      value: { score: 1000, required: 5, symbols: [{ name: "GTUBE" }, { name: "NO_RELAYS" }] },
    });
  });

  test("takes no rules, and a line end behind them (PROTOCOL, SYMBOLS)", () => {
    const none = parseSpamdAnswer(spamd("False ; -1 / 5"));
    assert.deepEqual(none, { ok: true, value: { score: -1, required: 5, symbols: [] } });
    const ended = parseSpamdAnswer(spamd("False ; 0 / 5", "A\r\n"));
    assert.deepEqual(ended.ok && ended.value.symbols, [{ name: "A" }]);
  });

  const refused: readonly (readonly [what: string, answer: Buffer, fault: string])[] = [
    ["nothing", Buffer.alloc(0), "no-answer"],
    ["a refusal in one line", Buffer.from("SPAMD/1.0 76 Bad header line: x\r\n"), "refused"],
    ["a negative code", Buffer.from("SPAMD/1.0 -1 x\r\n"), "bad-head"],
    ["another filter's answer", http("{}"), "bad-head"],
    ["NaN", spamd("False ; nan / 5.0"), "bad-head"],
    ["infinite", spamd("True ; inf / 5.0"), "bad-head"],
    ["absurd", spamd("True ; 999999999 / 5.0"), "bad-head"],
    ["exponent", spamd("True ; 1e3 / 5.0"), "bad-head"],
    ["threshold 0", spamd("True ; 1 / 0"), "bad-head"],
    ["negative threshold", spamd("True ; 1 / -5"), "bad-head"],
    ["no threshold", spamd("True ; 1"), "bad-head"],
    ["no score", spamd("True"), "bad-head"],
    ["three numbers", spamd("True ; 1 / 5 / 9"), "bad-head"],
    ["other verdict", spamd("Maybe ; 1 / 5"), "bad-head"],
    ["two verdicts", spamd("True ; 1 / 5\r\nSpam: False ; 1 / 5"), "bad-head"],
    ["no verdict", Buffer.from("SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n"), "bad-head"],
    ["no length", Buffer.from("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 1 / 5\r\n\r\n"), "bad-head"],
    ["negative length", Buffer.from("SPAMD/1.1 0 EX_OK\r\nContent-length: -1\r\n\r\n"), "bad-head"],
    ["cut short", spamd("True ; 1 / 5", "GTUBE").subarray(0, -2), "wrong-length"],
    ["space in a rule", spamd("True ; 1 / 5", "A, B"), "bad-body"],
    ["empty rule", spamd("True ; 1 / 5", "A,,B"), "bad-body"],
    ["long rule", spamd("True ; 1 / 5", "A".repeat(129)), "bad-body"],
  ];
  for (const [what, answer, fault] of refused) {
    test(`refuses: ${what}`, () => {
      const read = parseSpamdAnswer(answer);
      assert.equal(read.ok ? "accepted" : read.fault, fault);
    });
  }
});

describe("both", () => {
  const parsers = { parseRspamdAnswer, parseSpamdAnswer };
  const honest = {
    parseRspamdAnswer: rspamd({ score: 5.5, required_score: 15, symbols: { A: { score: 1 } } }),
    parseSpamdAnswer: spamd("True ; 12.5 / 5.0", "GTUBE,A,B"),
  };

  for (const name of ["parseRspamdAnswer", "parseSpamdAnswer"] as const) {
    test(`${name}() never throws on damaged answers, and its offsets lie within`, () => {
      const random = seededRandom(4);
      const pieces = [
        "\r\n",
        "\r\n\r\n",
        "{",
        "}",
        '"',
        ",",
        ";",
        "/",
        "-",
        "0",
        "9e99",
        "nan",
        "\0",
        "é",
      ];
      let accepted = 0;
      for (let round = 0; round < 30_000; round += 1) {
        const octets = Buffer.from(honest[name]);
        for (let hits = pick(random, 4); hits > 0; hits -= 1) {
          octets.write(pieces[pick(random, pieces.length)] ?? "", pick(random, octets.length));
        }
        const answer = octets.subarray(pick(random, 8) === 0 ? pick(random, octets.length) : 0);
        const read = parsers[name](answer);
        if (!read.ok) assert.ok(read.at >= 0 && read.at <= answer.length);
        else {
          accepted += 1;
          assert.ok(Number.isFinite(read.value.score) && read.value.required > 0);
          assert.ok(read.value.symbols.every((symbol) => /^[\x21-\x7e]{1,128}$/.test(symbol.name)));
        }
      }
      assert.ok(accepted > 1000 && accepted < 29_000, `${accepted} accepted`);
    });

    test(`${name}() reads a mebioctet of anything at once`, () => {
      const room = maxAnswerBytes - 200;
      const bodies = [
        `{"score":1,"required_score":2,"symbols":{${'"A":{"score":1},'.repeat(room / 17)}"B":{"score":1}}}`,
        "[".repeat(room),
        '"'.repeat(room),
        ",".repeat(room),
        "A,".repeat(room / 2),
        " ".repeat(room),
      ];
      const evil = bodies.flatMap((body) => [http(body), spamd("True ; 1 / 5", body)]);
      evil.push(
        Buffer.from("HTTP/1.1 200 " + " ".repeat(room)),
        Buffer.from("\r\n".repeat(room / 2)),
      );
      evil.push(spamd(`True ${" ".repeat(16_000)}; 1 / 5`), spamd(`True ;${"1/".repeat(8000)}`));
      for (const answer of evil) {
        const startMs = performance.now();
        parsers[name](answer);
        const tookMs = performance.now() - startMs;
        // Some 20 ms when the machine is idle; anything of higher order would take minutes.
        assert.ok(tookMs < 2000, `${tookMs} ms for ${answer.toString("latin1", 0, 200)}`);
      }
    });
  }
});
