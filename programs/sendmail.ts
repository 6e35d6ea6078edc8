/** sendmail for programs of this machine. PURPOSE: hands mail in. ZONE: inside. DIALS: the hub's local socket. */

import { runSendmail } from "#cli/sendmail";

if (import.meta.main) process.exitCode = await runSendmail(process.argv.slice(2));
