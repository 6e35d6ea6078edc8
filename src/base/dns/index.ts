/** Stub resolver: asks the installation's recursive server, keeps answers for their time (RFC 1035). */

export { type DnsValues, dnsParameters, resolverSettings } from "./parameters.ts";
export type { DnsAnswer, DnsRecord, RecordData, RecordType } from "./record.ts";
export { createResolver, type Resolver, type ResolverOptions } from "./resolver.ts";
export { systemServers } from "./servers.ts";
