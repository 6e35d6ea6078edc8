/** What an administrator may set about the upkeep of the store. */

export const storeParameters = {
  retentionHours: {
    default: 24,
    unit: "count",
    min: 1,
    // The guard against clocks that jump relies on a run a day.
    max: 24,
    doc: "Hours between two runs of the retention rules; lower when mail must go to the hour.",
  },
  erasureDays: {
    default: 7,
    unit: "count",
    min: 1,
    max: 90,
    doc: "Days between two erasures, which destroy for good what was deleted; lower to forget sooner.",
  },
} as const;
