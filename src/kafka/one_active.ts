import type { ProcessLife } from "../service/mod.ts";
import { ActiveGeneration } from "./active_generation.ts";
import { type ActiveProcess, decodeActive, encodeActive } from "./active_process.ts";
import { encodeAssignment, encodeSubscription, userDataIn, userDataOf } from "./assignments.ts";
import type { JoinedGroup } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type { Division, MemberAssignment, Role } from "./division.ts";
import {
  decodeFacts,
  decodeRefusal,
  encodeFacts,
  encodeRefusal,
  refusal,
  refusedMembers,
  type SharedFacts,
} from "./member_facts.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import type { GroupMember } from "./transactional_producer.ts";

/** The protocol by which the leader takes all partitions, and the other members stand by. */
const PROTOCOL = "stockflow-one-active";

export interface OneActiveOptions {
  readonly groupId: string;
  readonly heartbeatMs: number;
  /** Partitions by input topic. */
  readonly inputs: () => ReadonlyMap<string, number>;
  /** This process, as those that stand by know it. */
  readonly life: Pick<ProcessLife, "id" | "address">;
  /** What all members must share. */
  readonly shared?: SharedFacts;
  /** Is called after every join as the active member, before anyone may claim. */
  onActive(client: KafkaClient, member: GroupMember): Promise<void>;
}

/** The leader of the group is active, with all partitions; the others stand by and take over. */
export class OneActive implements Division {
  readonly protocol = PROTOCOL;
  /** The generation in which the group first took this member in, as far as it remembers; 0 = not yet. */
  #since = 0;
  #active: ActiveProcess | null = null;

  constructor(readonly options: OneActiveOptions) {}

  get heartbeatMs(): number {
    return this.options.heartbeatMs;
  }

  subscribe(): Promise<Uint8Array> {
    const { inputs, shared = {} } = this.options;
    const facts = encodeFacts({ since: this.#since, shared });
    return Promise.resolve(encodeSubscription([...inputs().keys()], facts));
  }

  /** All partitions for the leader, none for the others, who are given its address, or why they are refused. */
  assign({ members, leaderId }: JoinedGroup): Promise<readonly MemberAssignment[]> {
    const facts = new Map(members.map(({ memberId, memberMetadata }) => {
      const userData = userDataOf(memberMetadata);
      return [memberId, userData && decodeFacts(userData)];
    }));
    const refused = refusedMembers(facts, leaderId);
    const own = refused.get(leaderId);
    if (own !== undefined) throw refusal(this.options.groupId, own);
    const { id, address } = this.options.life;
    const active = encodeActive({ memberId: leaderId, life: id, address });
    const all = new Map([...this.options.inputs()].map(([t, n]) => [t, partitionNumbers(n)]));
    return Promise.resolve(members.map(({ memberId }) => {
      const why = refused.get(memberId);
      const userData = why === undefined ? active : encodeRefusal(why);
      const partitions = memberId === leaderId ? all : new Map();
      return { memberId, memberAssignment: encodeAssignment(partitions, userData) };
    }));
  }

  take({ generationId, leaderId, memberId }: JoinedGroup, assignment: Uint8Array) {
    const userData = userDataIn(assignment);
    const refused = decodeRefusal(userData);
    if (refused !== null) throw refusal(this.options.groupId, refused);
    if (this.#since === 0) this.#since = generationId;
    this.#active = leaderId === memberId ? null : decodeActive(userData);
    return this.#active;
  }

  async begin(
    { generationId: generation, leaderId, memberId }: JoinedGroup,
    client: () => Promise<KafkaClient>,
  ): Promise<Role> {
    if (leaderId !== memberId) return { active: this.#active?.address ?? null };
    await this.options.onActive(await client(), { memberId, generation });
    return new ActiveGeneration(memberId, generation);
  }

  over(): void {}

  forget(): void {
    this.#since = 0;
  }
}
