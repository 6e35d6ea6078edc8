/** What administrators send, checked: numbers of the query, and bodies against their shape. */

import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import * as v from "valibot";

/** @throws HTTPException 400 */
export function whole(c: Context, query: string, otherwise: number): number {
  const text = c.req.query(query);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new HTTPException(400, { message: `${query} must be a whole number` });
  }
  return value;
}

/** @throws HTTPException 400, which names the part that does not fit */
export async function body<Schema extends v.GenericSchema>(
  c: Context,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const given: unknown = await c.req.json().catch(() => undefined);
  const outcome = v.safeParse(schema, given);
  if (outcome.success) return outcome.output;
  const issue = outcome.issues[0];
  const where = v.getDotPath(issue);
  throw new HTTPException(400, {
    message: `${where === null ? "" : `${where}: `}${issue.message}`,
  });
}
