// How the file of an export begins, and the kinds of its entries; see transfer.ts.

import { encodeUtf8 } from "../types/mod.ts";

export const EXPORT_FORMAT = 2;
export const MAGIC = encodeUtf8(`stockflow-state ${EXPORT_FORMAT}\n`);

export const KIND = { end: 0, manifest: 1, chunk: 2, savepoint: 3 } as const;
