/** Every method with its arguments (RFC 8620, RFC 8621). */

import type { Schema } from "./arguments.ts";
import type { Context, Method } from "./context.ts";
import { importEmails } from "./email-create.ts";
import { emailChanges, getEmails, parseEmails } from "./email-get.ts";
import { queryEmails } from "./email-query.ts";
import { setEmails } from "./email-set.ts";
import { failed } from "./failure.ts";
import { getMailboxes, mailboxChanges, queryMailboxes } from "./mailboxes.ts";
import { mailboxSetter } from "./mailboxes-set.ts";
import { runSet } from "./set.ts";
import { getSnippets } from "./snippets.ts";
import {
  getIdentities,
  getSubmissions,
  identityChanges,
  querySubmissions,
  setIdentities,
  setSubmissions,
} from "./submission.ts";
import { getThreads, threadChanges } from "./thread-methods.ts";

export const core = "urn:ietf:params:jmap:core";
export const mail = "urn:ietf:params:jmap:mail";
export const sending = "urn:ietf:params:jmap:submission";

const get: Schema = { accountId: "id", ids: "ids?", properties: "strings?" };
const changes: Schema = { accountId: "id", sinceState: "string?", maxChanges: "unsigned?" };
const query: Schema = {
  accountId: "id",
  filter: "object?",
  sort: "sort?",
  position: "integer?",
  anchor: "string?",
  anchorOffset: "integer?",
  limit: "unsigned?",
  calculateTotal: "boolean?",
};
const queryChanges: Schema = {
  accountId: "id",
  filter: "object?",
  sort: "sort?",
  sinceQueryState: "string?",
  maxChanges: "unsigned?",
  upToId: "string?",
  calculateTotal: "boolean?",
};
const set: Schema = {
  accountId: "id",
  ifInState: "string?",
  create: "map?",
  update: "map?",
  destroy: "ids?",
};
const bodies: Schema = {
  properties: "strings?",
  bodyProperties: "strings?",
  fetchTextBodyValues: "boolean?",
  fetchHTMLBodyValues: "boolean?",
  fetchAllBodyValues: "boolean?",
  maxBodyValueBytes: "unsigned?",
};

/** Query states are mod-sequences: they tell that something changed, not what. */
const unknownChanges = () => failed("cannotCalculateChanges");

function method(capability: string, schema: Schema, run: Method["run"]): Method {
  return { capability, schema, run };
}

export const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["Mailbox/get", method(mail, get, getMailboxes)],
  ["Mailbox/changes", method(mail, changes, mailboxChanges)],
  [
    "Mailbox/query",
    method(mail, { ...query, sortAsTree: "boolean?", filterAsTree: "boolean?" }, queryMailboxes),
  ],
  ["Mailbox/queryChanges", method(mail, queryChanges, unknownChanges)],
  [
    "Mailbox/set",
    method(mail, { ...set, onDestroyRemoveEmails: "boolean?" }, (context: Context, args) =>
      runSet(context, args, mailboxSetter(args)),
    ),
  ],
  ["Thread/get", method(mail, get, getThreads)],
  ["Thread/changes", method(mail, changes, threadChanges)],
  ["Email/get", method(mail, { ...get, ...bodies }, getEmails)],
  ["Email/changes", method(mail, changes, emailChanges)],
  ["Email/query", method(mail, { ...query, collapseThreads: "boolean?" }, queryEmails)],
  [
    "Email/queryChanges",
    method(mail, { ...queryChanges, collapseThreads: "boolean?" }, unknownChanges),
  ],
  ["Email/set", method(mail, set, setEmails)],
  [
    "Email/import",
    method(mail, { accountId: "id", ifInState: "string?", emails: "map?" }, importEmails),
  ],
  ["Email/parse", method(mail, { accountId: "id", blobIds: "ids?", ...bodies }, parseEmails)],
  [
    "Email/copy",
    method(
      mail,
      {
        accountId: "id",
        fromAccountId: "id",
        ifFromInState: "string?",
        ifInState: "string?",
        create: "map?",
        onSuccessDestroyOriginal: "boolean?",
        destroyFromIfInState: "string?",
      },
      (context, args) =>
        // A person has one account, and copying needs two (RFC 8620 §5.4).
        failed(
          args["fromAccountId"] === context.account ? "invalidArguments" : "fromAccountNotFound",
        ),
    ),
  ],
  [
    "SearchSnippet/get",
    method(mail, { accountId: "id", filter: "object?", emailIds: "ids?" }, getSnippets),
  ],
  ["Identity/get", method(sending, get, getIdentities)],
  ["Identity/changes", method(sending, changes, identityChanges)],
  ["Identity/set", method(sending, set, setIdentities)],
  ["EmailSubmission/get", method(sending, get, getSubmissions)],
  ["EmailSubmission/changes", method(sending, changes, unknownChanges)],
  ["EmailSubmission/query", method(sending, query, querySubmissions)],
  ["EmailSubmission/queryChanges", method(sending, queryChanges, unknownChanges)],
  [
    "EmailSubmission/set",
    method(
      sending,
      { ...set, onSuccessUpdateEmail: "map?", onSuccessDestroyEmail: "ids?" },
      setSubmissions,
    ),
  ],
]);
