import { after } from "node:test";
import { embeddedEngine } from "./embedded.ts";
import { storeContract } from "./store-contract.ts";

const engine = embeddedEngine();
after(() => engine[Symbol.dispose]());

storeContract("the embedded engine", engine.open, { seeds: 20, operations: 60 });
