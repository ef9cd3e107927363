/** The cluster has removed this member: it has nothing left to do, and its data belong to nobody. */
export class MemberRemovedError extends Error {
  override readonly name = "MemberRemovedError";

  constructor() {
    super("the member has been permanently removed from the cluster");
  }
}
