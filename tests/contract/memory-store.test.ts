import { stillClock } from "../../src/store/fixture.ts";
import { newState } from "./memory/state.ts";
import { memoryStore } from "./memory-store.ts";
import { storeContract } from "./store-contract.ts";

const open = async () => ({ store: memoryStore(newState(stillClock())) });

storeContract("the reference in memory", open, { seeds: 5, operations: 60 });
