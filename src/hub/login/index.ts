/** Logins at the web front, step by step, and what people do about how they sign in. */

export { withLastUses } from "./last-uses.ts";
export { createLogin, type Login } from "./login.ts";
export { loginOffer } from "./offer.ts";
export { type ProviderWay, providerFetch } from "./provider-fetch.ts";
export {
  SelfService,
  type SelfServiceFault,
  type Served,
  type Visitor,
} from "./self-service.ts";
