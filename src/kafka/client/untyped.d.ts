/** A module of kafkajs without types; internals.ts says what we use of it. */
declare const module: unknown;
export default module;
