/** The Request object: checked, then its calls run one after the other (RFC 8620 §3.3-§3.6). */

import { Unavailable } from "#base/errors";
import { type Args, checkArguments, isObject } from "./arguments.ts";
import type { Answer, Context } from "./context.ts";
import { Failure, failed } from "./failure.ts";
import { coreLimits, maxDepth, maxReferenced } from "./limits.ts";
import { core, mail, methods, sending } from "./methods.ts";
import { type Budget, type Invocation, isDeeperThan, resolveReferences } from "./references.ts";

/** An error of the whole request, as RFC 7807 has it; the transport answers with its status. */
export interface Problem {
  readonly type: string;
  readonly status: number;
  readonly detail: string;
  readonly limit?: string;
}

export function isProblem(answer: object): answer is Problem {
  return "type" in answer && String(answer.type).startsWith("urn:ietf:params:jmap:error:");
}

export function problem(name: string, detail: string, limit?: string): Problem {
  const status = limit === "maxConcurrentRequests" ? 429 : limit === "maxSizeRequest" ? 413 : 400;
  return {
    type: `urn:ietf:params:jmap:error:${name}`,
    status,
    detail,
    ...(limit !== undefined && { limit }),
  };
}

export interface Request {
  readonly using: ReadonlySet<string>;
  readonly calls: readonly Invocation[];
  readonly createdIds: ReadonlyMap<string, string> | undefined;
}

/** @param body parsed JSON, or its octets */
export function readRequest(body: unknown): Request | Problem {
  let value = body;
  if (body instanceof Uint8Array) {
    if (body.length > coreLimits.maxSizeRequest) {
      return problem("limit", "The request is too large.", "maxSizeRequest");
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
      value = JSON.parse(text); // I-JSON is UTF-8 (RFC 7493 §2.1)
    } catch {
      return problem("notJSON", "The request is not JSON.");
    }
  }
  if (isDeeperThan(value, maxDepth)) {
    return problem("limit", "The request is nested too deeply.", "maxDepthInRequest");
  }
  if (!isObject(value)) return problem("notRequest", "The request is not an object.");
  const { using, methodCalls, createdIds } = value;
  const calls = Array.isArray(methodCalls) && methodCalls.every(isCall) ? methodCalls : undefined;
  if (!Array.isArray(using) || !using.every((one) => typeof one === "string") || !calls) {
    return problem("notRequest", "The request lacks using or methodCalls, or they are malformed.");
  }
  const unknown = using.find((one) => ![core, mail, sending].includes(one));
  if (unknown !== undefined) {
    return problem("unknownCapability", `There is no ${String(unknown).slice(0, 100)} here.`);
  }
  if (calls.length > coreLimits.maxCallsInRequest) {
    return problem("limit", "The request makes too many calls.", "maxCallsInRequest");
  }
  const ids = isObject(createdIds) ? Object.entries(createdIds) : undefined;
  if (ids?.some(([, id]) => typeof id !== "string") || (ids?.length ?? 0) > 1000) {
    return problem("notRequest", "createdIds is malformed.");
  }
  return {
    using: new Set(using),
    calls,
    createdIds: ids && new Map(ids as [string, string][]),
  };
}

function isCall(value: unknown): value is Invocation {
  return (
    Array.isArray(value) &&
    value.length === 3 &&
    typeof value[0] === "string" &&
    isObject(value[1]) &&
    typeof value[2] === "string" &&
    value[2].length <= 255
  );
}

export async function runRequest(
  context: Context,
  request: Request,
  onFault: (error: unknown) => void,
): Promise<readonly Invocation[]> {
  const answers: Invocation[] = [];
  const budget: Budget = { left: maxReferenced };
  for (const [name, given, callId] of request.calls) {
    const args = resolveReferences(given, answers, budget);
    const answer =
      args instanceof Failure
        ? args
        : await runCall(context, request.using, [name, args, callId], onFault);
    if (answer instanceof Failure) answers.push(errorOf(answer, callId));
    else if (Array.isArray(answer)) answers.push(...(answer as readonly Invocation[]));
    else answers.push([name, answer as Args, callId]);
  }
  return answers;
}

/** The border where what was thrown becomes words of the protocol; nothing internal gets out. */
async function runCall(
  context: Context,
  using: ReadonlySet<string>,
  [name, args, callId]: Invocation,
  onFault: (error: unknown) => void,
): Promise<Answer> {
  if (name === "Core/echo") return using.has(core) ? args : failed("unknownMethod");
  const method = methods.get(name);
  if (method === undefined || !using.has(method.capability)) return failed("unknownMethod");
  const fault = checkArguments(args, method.schema);
  if (fault !== undefined) return fault;
  if (args["accountId"] !== context.account) return failed("accountNotFound");
  try {
    return await method.run(context, args, callId);
  } catch (error) {
    if (error instanceof Unavailable) return failed("serverUnavailable");
    onFault(error);
    return failed("serverFail", "Something went wrong here; it was noted.");
  }
}

function errorOf(failure: Failure, callId: string): Invocation {
  const { type, description } = failure;
  return ["error", { type, ...(description !== undefined && { description }) }, callId];
}
