/** What an administrator may set about backups. */

export const backupParameters = {
  target: {
    default: "",
    doc: "Where backups go: the whole path of a folder, or s3://BUCKET/PREFIX; empty: none are made by themselves.",
  },
  endpoint: {
    default: "",
    doc: "Address of the S3 service, as https://HOST; only for a target that begins with s3://.",
  },
  region: { default: "us-east-1", doc: "Region of the bucket." },
  credentialsFile: {
    default: "",
    doc: "File with the lines aws_access_key_id = … and aws_secret_access_key = …, for its owner only.",
  },
  caFile: {
    default: "",
    doc: "PEM file with the only authorities to believe when the S3 service is dialled; empty: the usual ones.",
  },
  recoveryKey: {
    default: "",
    doc: 'File with the public part of the recovery key; empty: the one that "postern backup key" made.',
  },
  everyHours: {
    default: 24,
    unit: "count",
    min: 1,
    max: 720,
    doc: "Hours between two backups; lower to lose less in a fire.",
  },
  keepDays: {
    default: 30,
    unit: "count",
    min: 0,
    max: 36_500,
    doc: "Backups not older than this are kept; erased mail is in them until they go.",
  },
  keepCount: {
    default: 7,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "So many of the newest backups are kept however old they are.",
  },
  mibPerSecond: {
    default: 50,
    unit: "count",
    min: 1,
    max: 10_000,
    doc: "So many MiB of the store are copied in a second at most; lower when mail gets slow meanwhile.",
  },
  drillKeyFile: {
    default: "",
    doc: "File with the private part of the recovery key, for drills that run by themselves; it makes this machine able to read its backups. Empty: drills are run by hand.",
  },
  drillDays: {
    default: 30,
    unit: "count",
    min: 1,
    max: 366,
    doc: "Days between two drills; each restores a backup on the side and reads it.",
  },
  drillFolder: {
    default: "",
    doc: "Where drills restore to; it needs the room of the store. Empty: a folder beside the store.",
  },
} as const;
