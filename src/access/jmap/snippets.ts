/** SearchSnippet/get: where the words of a search stand in a message (RFC 8621 §5). */

import { type Args, isObject } from "./arguments.ts";
import { type Answer, type Context, inParallel, realId } from "./context.ts";
import { folded, readFilter, searchTerms, searchText } from "./email-filter.ts";
import { entriesByMessage, messageOf } from "./email-get.ts";
import { Failure, failed } from "./failure.ts";
import { coreLimits } from "./limits.ts";

export async function getSnippets(context: Context, args: Args): Promise<Answer> {
  const filter = readFilter(context, args["filter"]);
  if (filter instanceof Failure) return filter;
  const emailIds = args["emailIds"] as readonly string[] | null | undefined;
  if (emailIds === null || emailIds === undefined) return failed("invalidArguments", "emailIds");
  if (emailIds.length > coreLimits.maxObjectsInGet) return failed("requestTooLarge");
  const subject = termsOf(args["filter"], ["subject", "text"]);
  const body = termsOf(args["filter"], ["body", "text"]);
  const messages = emailIds.map((id) => messageOf(realId(context, id)));
  const found = await entriesByMessage(
    context,
    messages.flatMap((one) => one ?? []),
  );
  const list = await inParallel(emailIds, 8, async (emailId) => {
    const message = messageOf(realId(context, emailId));
    if (message === undefined || !found.has(message)) return undefined;
    const description = await context.store.messages.describe(message);
    const text = body.length === 0 ? "" : await searchText(context, message);
    return {
      emailId,
      subject: marked(description.envelope.subject ?? "", subject),
      preview: marked(around(text.replace(/\s+/g, " "), body), body),
    };
  });
  const notFound = emailIds.filter((_, index) => list[index] === undefined);
  return {
    accountId: context.account,
    list: list.filter((one) => one !== undefined),
    notFound: notFound.length > 0 ? notFound : null,
  };
}

/** The words of those conditions, however deep, those under NOT aside. */
function termsOf(filter: unknown, names: readonly string[]): readonly string[] {
  if (!isObject(filter)) return [];
  const { operator, conditions } = filter;
  if (operator === "NOT") return [];
  if (Array.isArray(conditions)) return conditions.flatMap((one) => termsOf(one, names));
  return names.flatMap((name) => {
    const value = filter[name];
    return typeof value === "string" ? searchTerms(value) : [];
  });
}

/** Some 200 characters about the first hit. */
function around(text: string, terms: readonly string[]): string {
  const flat = folded(text);
  const places = terms.map((term) => flat.indexOf(term)).filter((at) => at >= 0);
  if (places.length === 0) return "";
  const start = Math.max(0, Math.min(...places) - 60);
  return text.slice(start, start + 200).toWellFormed();
}

/** Escaped for HTML with <mark> around each hit; null when there is none (§5). */
function marked(text: string, terms: readonly string[]): string | null {
  // Folding may change lengths; then nothing is marked rather than something wrong.
  const flat = folded(text);
  const short = text.slice(0, 1000);
  if (flat.length !== text.length || terms.length === 0) return null;
  let out = "";
  let at = 0;
  let hits = 0;
  while (at < short.length) {
    let next = -1;
    let length = 0;
    for (const term of terms) {
      const found = flat.indexOf(term, at);
      if (found >= 0 && (next < 0 || found < next || (found === next && term.length > length))) {
        [next, length] = [found, term.length];
      }
    }
    if (next < 0 || next >= short.length) break;
    out += `${escaped(short.slice(at, next))}<mark>${escaped(short.slice(next, next + length))}</mark>`;
    at = next + length;
    hits += 1;
  }
  return hits === 0 ? null : out + escaped(short.slice(at));
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
