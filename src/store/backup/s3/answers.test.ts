import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import {
  completeXml,
  errorCodeIn,
  isCompleted,
  parseListing,
  parseUploadId,
  parseUploads,
} from "./answers.ts";

const listing = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<Contents><Key>objects/a&amp;b&#x41;</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>12</Size></Contents>
<Contents><Key>objects/c</Key><Size>0</Size></Contents>
<IsTruncated>true</IsTruncated><NextContinuationToken>a/b&#43;c==</NextContinuationToken></ListBucketResult>`;
const uploads = `<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u1</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>`;
const started = `<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>u&lt;1</UploadId></InitiateMultipartUploadResult>`;
const error = `  <?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>SlowDown</Code><Message>Less!</Message></Error>`;

describe("answers of an S3 service", () => {
  test("are read by what they say, entities resolved", () => {
    assert.deepEqual(parseListing(listing), {
      ok: true,
      value: {
        objects: [
          { key: "objects/a&bA", sizeBytes: 12 },
          { key: "objects/c", sizeBytes: 0 },
        ],
        next: "a/b+c==",
      },
    });
    const initiatedAtMs = Date.UTC(2026, 0, 1);
    assert.deepEqual(parseUploads(uploads), {
      ok: true,
      value: [{ key: "k", uploadId: "u1", initiatedAtMs }],
    });
    assert.deepEqual(parseUploadId(started), { ok: true, value: "u<1" });
    assert.equal(errorCodeIn(error), "SlowDown");
    assert.ok(
      isCompleted(
        "\n\n <CompleteMultipartUploadResult><ETag>a</ETag></CompleteMultipartUploadResult>",
      ),
    );
  });

  test("are refused when they are other documents or lack something", () => {
    for (const other of [
      "",
      "<html></html>",
      error,
      started,
      "ListBucketResult",
      "<ListBucketResultX>",
    ]) {
      const result = parseListing(other);
      assert.ok(!result.ok && result.fault === "other-document");
    }
    const lacking = [
      listing.replace("<Size>12</Size>", ""),
      listing.replace("<Size>12</Size>", "<Size>-1</Size>"),
      listing.replace("NextContinuationToken", "Other"),
    ];
    for (const other of lacking) {
      const result = parseListing(other);
      assert.ok(!result.ok && result.fault === "bad-element");
    }
    assert.ok(!parseUploads(uploads.replace("2026", "yesterday")).ok);
    assert.ok(!parseUploadId("<InitiateMultipartUploadResult/>").ok);
    assert.ok(!isCompleted(error));
  });

  test("give no code that could forge a line of the log", () => {
    for (const code of ["a b", "a\nb", "\u001b[31m", "<b>", "a".repeat(81), ""]) {
      assert.equal(errorCodeIn(`<Error><Code>${code}</Code></Error>`), "");
    }
  });

  test("never throw and take linear time, whatever they hold (20,000 inputs)", () => {
    const random = seededRandom(41);
    const scraps = [
      "<Contents>",
      "</Contents>",
      "<Key>",
      "</Key>",
      "&#x110000;",
      "&#99999999;",
      "&amp",
      "<Size>",
      "<",
      ">",
      "\0",
      "&#xD800;",
    ];
    for (let round = 0; round < 20_000; round += 1) {
      let text = [listing, uploads, started, error][round % 4] ?? "";
      for (let edits = pick(random, 5); edits > 0; edits -= 1) {
        const at = pick(random, text.length);
        const scrap = scraps[pick(random, scraps.length)] ?? "";
        text = text.slice(0, at) + scrap + text.slice(at + pick(random, 30));
      }
      for (const parse of [parseListing, parseUploads, parseUploadId]) {
        const result = parse(text);
        assert.ok(result.ok || (result.at >= 0 && result.at <= text.length));
      }
      errorCodeIn(text);
    }
    const startedAt = performance.now();
    for (const scrap of [...scraps, "<Contents><Key>a</Key>", " ", "<?xml "]) {
      const long = `<ListBucketResult>${scrap.repeat(300_000 / scrap.length)}`;
      parseListing(long);
      errorCodeIn(long.slice(18));
    }
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < 2000, `${tookMs} ms`);
  });
});

test("completeXml() names each part with its tag", () => {
  assert.equal(
    completeXml(['"a"', "b<&"]),
    '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>b&lt;&amp;</ETag></Part></CompleteMultipartUpload>',
  );
});
