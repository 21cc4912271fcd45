// AssemblyScript's names of integer types, so that TypeScript can read contract.ts.
declare type u32 = number;
declare type usize = number;
