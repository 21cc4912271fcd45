// The kinds of parameters: how a text is read, and what is allowed.

import { z } from "zod";

export const DAY_MS = 86_400_000;

/** What a path may be. */
export const PATH = /^[^\0]{1,4096}$/;

/** How a parameter is read from its text. */
export interface Parameter<T> {
  readonly schema: z.ZodType<T, string>;
  /** What is allowed, for error messages and help. */
  readonly allowed: string;
  /** As it would be written. */
  readonly default: string;
  readonly help: string;
  /** Its value is never shown. */
  readonly secret?: boolean;
}

export function integer(
  min: number,
  max: number,
  fallback: number,
  help: string,
): Parameter<number> {
  const allowed = `an integer from ${min} to ${max}`;
  return {
    schema: z.string().regex(/^(0|-?[1-9][0-9]*)$/).transform(Number).pipe(
      z.number().min(min).max(max),
    ),
    allowed,
    default: String(fallback),
    help,
  };
}

/** An integer, or "auto": what it is then is found elsewhere. */
export function integerOrAuto(min: number, max: number, help: string): Parameter<number | "auto"> {
  const { schema, allowed } = integer(min, max, min, help);
  return {
    schema: z.union([z.literal("auto"), schema]) as unknown as z.ZodType<number | "auto", string>,
    allowed: `${allowed}, or auto`,
    default: "auto",
    help,
  };
}

export function decimal(
  min: number,
  max: number,
  fallback: number,
  help: string,
): Parameter<number> {
  return {
    schema: z.string().regex(/^[0-9]+(\.[0-9]+)?$/).transform(Number).pipe(
      z.number().min(min).max(max),
    ),
    allowed: `a number from ${min} to ${max}`,
    default: String(fallback),
    help,
  };
}

export function boolean(fallback: boolean, help: string): Parameter<boolean> {
  return {
    schema: z.enum(["true", "false"]).transform((text) => text === "true"),
    allowed: "true or false",
    default: String(fallback),
    help,
  };
}

export function oneOf<const T extends string>(
  values: readonly T[],
  fallback: T,
  help: string,
): Parameter<T> {
  return {
    schema: z.enum(values as unknown as [T, ...T[]]) as unknown as z.ZodType<T, string>,
    allowed: `one of ${values.join(", ")}`,
    default: fallback,
    help,
  };
}

/** In upper case as well, as Kafka itself writes it. */
export function anyCase<T>(parameter: Parameter<T>): Parameter<T> {
  const schema = z.string().transform((text) => text.toLowerCase()).pipe(parameter.schema);
  return { ...parameter, schema: schema as unknown as z.ZodType<T, string> };
}

export function text(
  allowed: string,
  pattern: RegExp,
  fallback: string,
  help: string,
): Parameter<string> {
  return { schema: z.string().regex(pattern), allowed, default: fallback, help };
}

/** A text that may be left out. */
export function optional(allowed: string, pattern: RegExp, help: string): Parameter<string> {
  const schema = z.string().refine((text) => text === "" || pattern.test(text));
  return { schema, allowed: `${allowed}, or nothing`, default: "", help };
}

/** Texts with commas between them; none by default. */
export function list(
  allowed: string,
  isAllowed: (text: string) => boolean,
  help: string,
): Parameter<readonly string[]> {
  const schema = z.string()
    .transform((text) => text === "" ? [] : text.split(",").map((part) => part.trim()))
    .refine((parts) => parts.every(isAllowed));
  return {
    schema,
    allowed: `${allowed}, several with commas between them, or nothing`,
    default: "",
    help,
  };
}

/** A text that no error shows. */
export function secret(allowed: string, help: string): Parameter<string> {
  return { schema: z.string(), allowed, default: "", help, secret: true };
}

/** A topic that is written only if it is named. */
export function topic(help: string): Parameter<string> {
  return optional(TOPIC_ALLOWED, TOPIC, help);
}

export const TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;
export const TOPIC_ALLOWED = "a topic's name (letters, digits, . _ -)";
