/** The module of worker threads whose log is Kafka. */
export const THREAD_ENTRY = new URL("./thread.ts", import.meta.url);
